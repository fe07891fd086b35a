//! The architecture invariants of `docs/architecture.md`, read off the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::root;

fn sources(under: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(under)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources under {under}");
    found.sort();
    found
}

/// Code without comments and without what follows the first `#[cfg(test)]`.
fn code(text: &str) -> String {
    text.split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
        || path.components().any(|part| part.as_os_str() == "tests")
}

fn assert_absent(under: &[&str], forbidden: &[&str], except: &[&str]) {
    let mut found = Vec::new();
    for folder in under {
        for (path, text) in sources(folder) {
            let shown = path.strip_prefix(root()).unwrap().display().to_string();
            if is_test_file(&path) || except.iter().any(|prefix| shown.starts_with(prefix)) {
                continue;
            }
            let code = code(&text);
            for word in forbidden {
                if code.contains(word) {
                    found.push(format!("{shown}: `{word}`"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_top_level_holds_exactly_what_the_design_names() {
    let allowed: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "station",
        "recipes",
        "migrations",
        "tests",
        "docs",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
    ]
    .into();
    let listing = std::process::Command::new("git")
        .args(["ls-files"])
        .current_dir(root())
        .output()
        .unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    let strange: BTreeSet<&str> = listing
        .lines()
        .filter_map(|path| path.split('/').next())
        .filter(|name| !name.starts_with('.') && !allowed.contains(name))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn arrows_between_rooms_point_down_only() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("esp", &[] as &[&str]),
        ("virtual", &["station-esp"]),
        ("device", &["station-esp"]),
        ("line", &["station-device", "station-esp"]),
        (
            "app",
            &[
                "station-line",
                "station-device",
                "station-esp",
                "station-virtual",
            ],
        ),
    ]);
    for (room, below) in allowed {
        let manifest =
            fs::read_to_string(root().join("station").join(room).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        for name in manifest["dependencies"].as_table().unwrap().keys() {
            if name.starts_with("station-") {
                assert!(below.contains(&name.as_str()), "{room} names {name}");
            }
        }
    }
}

#[test]
fn esp_does_no_io_and_reads_no_clock() {
    assert_absent(
        &["station/esp/src"],
        &[
            "std::fs",
            "std::net",
            "std::process",
            "std::thread",
            "std::time::Instant",
            "SystemTime",
            "tokio",
            "async fn",
        ],
        &[],
    );
}

#[test]
fn the_virtual_chip_core_does_no_io_and_reads_no_clock() {
    assert_absent(
        &["station/virtual/src/chip"],
        &[
            "std::fs",
            "std::net",
            "std::thread",
            "Instant::now",
            "SystemTime",
            "tokio",
            "async fn",
        ],
        &[],
    );
}

#[test]
fn only_the_recipe_compiler_makes_a_plan() {
    assert_absent(&["station"], &["Plan::new("], &["station/line/src/recipe"]);
    let plan = fs::read_to_string(root().join("station/line/src/plan.rs")).unwrap();
    assert!(
        plan.contains("pub(crate) fn new("),
        "the constructor must stay the compiler's"
    );
}

#[test]
fn only_the_burner_starts_a_program_command() {
    assert_absent(
        &["station"],
        &["Controller::PROGRAM", "PROGRAM_KEY"],
        &[
            "station/esp/src/efuse/map",
            "station/device/src/efuse",
            "station/virtual/src/efuse",
        ],
    );
    let plan = fs::read_to_string(root().join("station/esp/src/efuse/plan.rs")).unwrap();
    let fields = plan.split("pub struct BurnPlan {").nth(1).unwrap();
    let fields = fields.split('}').next().unwrap();
    assert!(
        !fields.contains("pub "),
        "a burn plan that anybody can fill in is not a checked one"
    );
}

#[test]
fn faces_name_operations_and_never_the_runner_or_the_journals_writer() {
    assert_absent(
        &["station/app/src/cli", "station/app/src/mcp"],
        &[
            "station_line::runner::start",
            "journal::Writer",
            "Draft",
            "rusqlite",
        ],
        &[],
    );
}

#[test]
fn nothing_below_a_face_prints() {
    assert_absent(
        &[
            "station/esp/src",
            "station/virtual/src",
            "station/device/src",
            "station/line/src",
        ],
        &["println!", "eprintln!", "print!(", "eprint!("],
        &[],
    );
}

/// Libraries with an owner, and the rooms that may name them.
const OWNERS: &[(&str, &[&str])] = &[
    (
        "rusqlite",
        &["station/line/src/journal", "station/line/src/quality"],
    ),
    ("rmcp", &["station/app/src/mcp"]),
    (
        "serialport",
        &["station/device/src", "station/app/examples"],
    ),
    ("tokio_serial", &["station/device/src"]),
    ("espflash", &["station/esp", "station/app/examples"]),
    ("rsa", &["station/esp/src/secure", "station/esp/src/cert"]),
    ("ecdsa", &["station/esp/src/secure"]),
    ("p192", &["station/esp/src/secure", "station/esp/src/cert"]),
    (
        "p256",
        &[
            "station/esp/src/secure",
            "station/esp/src/cert",
            "station/esp/src/matter",
        ],
    ),
    ("p384", &["station/esp/src/secure", "station/esp/src/cert"]),
    (
        "aes",
        &[
            "station/esp/src/secure",
            "station/esp/src/cert",
            "station/esp/src/nvs",
        ],
    ),
    (
        "xts_mode",
        &["station/esp/src/secure", "station/esp/src/nvs"],
    ),
    ("object", &["station/esp/src/elf", "station/esp/src/sizes"]),
    (
        "hyper",
        &[
            "station/app/src/ota_server",
            "station/app/src/operations/ota/push",
        ],
    ),
    (
        "tokio_rustls",
        &[
            "station/app/src/ota_server",
            "station/app/src/operations/ota/push",
        ],
    ),
    ("age", &["station/line/src/keys"]),
    ("cryptoki", &["station/line/src/keys"]),
    ("indicatif", &["station/app/src/cli"]),
    ("comfy_table", &["station/app/src/cli"]),
    (
        "miette",
        &["station/line/src/recipe", "station/app/src/cli"],
    ),
];

#[test]
fn libraries_with_an_owner_room_are_named_nowhere_else() {
    for (library, rooms) in OWNERS {
        let used = [
            format!("use {library}::"),
            format!(" {library}::"),
            format!("({library}::"),
        ];
        let used: Vec<&str> = used.iter().map(String::as_str).collect();
        assert_absent(&["station"], &used, rooms);
    }
}

#[test]
fn unfinished_marks_stay_out_of_the_tree() {
    let mut marks: Vec<String> = ["TO", "FIX", "XX"]
        .iter()
        .zip(["DO", "ME", "X"])
        .map(|(a, b)| format!("{a}{b}"))
        .collect();
    marks.extend(["todo!(", "unimplemented!("].map(String::from));
    let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for (path, text) in sources("station") {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_opens_with_its_purpose() {
    let mut silent = Vec::new();
    for (path, text) in sources("station").into_iter().chain(sources("tests")) {
        if !text.starts_with("//!") && !path.ends_with("build.rs") {
            silent.push(path);
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn every_dependency_is_used_through_the_workspace_manifest() {
    for room in ["esp", "virtual", "device", "line", "app"] {
        let manifest =
            fs::read_to_string(root().join("station").join(room).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(table).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, value) in table {
                let shared = value.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(shared, Some(true), "{room} pins {name} by itself");
            }
        }
    }
}

/// Licences a binary under MIT or Apache-2.0 can be shipped with. MPL-2.0 (serialport) binds its own files only;
/// NCSA (libfuzzer-sys) is a permissive licence, and in no binary but the fuzzer.
const LICENCES: [&str; 11] = [
    "NCSA",
    "MIT",
    "BSD-3-Clause",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "ISC",
    "MPL-2.0",
    "0BSD",
];

#[test]
fn every_dependency_has_a_licence_that_goes_with_ours() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let refused: Vec<_> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_accepted))
        .map(|package| format!("{}: {}", package["name"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Whether one of the alternatives (`OR`, in old manifests `/`) can be accepted in all its parts.
fn is_accepted(expression: &str) -> bool {
    let all_of = |alternatives: &str| {
        alternatives
            .replace('/', " OR ")
            .split(" OR ")
            .any(|licence| LICENCES.contains(&licence.trim_matches(['(', ')', ' '])))
    };
    expression.split(" AND ").all(all_of)
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[workspace.dependencies]").nth(1).unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap();
    let silent: Vec<&str> = dependencies
        .lines()
        .filter(|line| {
            line.contains(" = ") && !line.starts_with("station-") && !line.contains(" # ")
        })
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}
