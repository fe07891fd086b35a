//! The station without its faces: whose files are touched, who opens the journal, what runs begin with.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use station_line::event::{BayName, CancelMode};
use tempfile::TempDir;

use super::{RunOrder, Station, StationOptions, bounded};
use crate::operation::{Call, Exit, Face};
use crate::rack::RackOptions;

/// A station with a folder `root` for clients, and a file and a folder beside it that are not theirs.
fn asker() -> crate::operation::Call {
    crate::operation::Call::silent(crate::operation::Face::Cli, "a test")
}

fn confined(folder: &Path) -> Station {
    for name in ["root", "root/inner", "elsewhere"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    for name in [
        "root/mine",
        "root/inner/mine",
        "elsewhere/secret",
        "root-like",
    ] {
        std::fs::write(folder.join(name), name).unwrap();
    }
    Station::open(StationOptions {
        journal: Some(folder.join("root/line.db")),
        roots: Some(vec![folder.join("root")]),
        ..StationOptions::default()
    })
    .unwrap()
}

fn open_to_all(folder: &Path) -> Station {
    Station::open(StationOptions {
        journal: Some(folder.join("line.db")),
        rack: RackOptions {
            timed: false,
            ..RackOptions::default()
        },
        ..StationOptions::default()
    })
    .unwrap()
}

#[test]
fn files_within_a_root_are_read_whatever_way_they_are_named() {
    let folder = TempDir::new().unwrap();
    let station = confined(folder.path());
    let root = folder.path().join("root");
    for name in [
        "mine",
        "inner/mine",
        "inner/../mine",
        "./inner/../inner/mine",
    ] {
        let read = station.readable(&root.join(name)).unwrap();
        assert!(
            read.starts_with(root.canonicalize().unwrap()),
            "{name}: {}",
            read.display()
        );
    }
    symlink("inner/mine", root.join("link")).unwrap();
    assert!(
        station
            .readable(&root.join("link"))
            .unwrap()
            .ends_with("inner/mine")
    );
}

#[test]
fn no_path_and_no_link_leads_out_of_the_roots() {
    let folder = TempDir::new().unwrap();
    let station = confined(folder.path());
    let root = folder.path().join("root");
    symlink("../elsewhere", root.join("door")).unwrap();
    symlink("../elsewhere/secret", root.join("file")).unwrap();
    for name in [
        "../elsewhere/secret",
        "door/secret",
        "file",
        "inner/../../root-like",
        "/etc/passwd",
    ] {
        let refused = station.readable(&root.join(name)).unwrap_err();
        assert_eq!(refused.code, "path-outside-roots", "{name}");
        assert_eq!(refused.exit, Exit::Usage);
    }
    for name in ["../elsewhere/new", "door/new", "file", "/tmp/new"] {
        let refused = station.writable(&root.join(name)).unwrap_err();
        assert_eq!(refused.code, "path-outside-roots", "{name}");
    }
}

#[test]
fn a_client_replaces_no_file_writes_no_recipe_and_never_the_journal() {
    let folder = TempDir::new().unwrap();
    let station = confined(folder.path());
    let root = folder.path().join("root");
    symlink("nowhere", root.join("dangling")).unwrap();
    let refused = [
        "mine",
        "dangling",
        "new.toml",
        "new.TOML",
        "line.db",
        "line.db-wal",
        "inner",
        "absent/new",
        "..",
    ];
    for name in refused {
        let refused = station.writable(&root.join(name)).unwrap_err();
        assert!(
            ["file-unwritable", "path-outside-roots"].contains(&refused.code.as_str()),
            "{name}: {refused}"
        );
    }
    assert_eq!(
        station
            .writable(&root.join("inner/new.bin"))
            .unwrap()
            .file_name()
            .unwrap(),
        "new.bin"
    );
}

#[test]
fn a_person_may_write_anything_but_the_journal() {
    let folder = TempDir::new().unwrap();
    let station = open_to_all(folder.path());
    std::fs::write(folder.path().join("old.toml"), "").unwrap();
    station.writable(&folder.path().join("old.toml")).unwrap();
    for name in ["line.db", "line.db-shm"] {
        assert_eq!(
            station
                .writable(&folder.path().join(name))
                .unwrap_err()
                .code,
            "file-unwritable",
            "{name}"
        );
    }
}

#[test]
fn what_is_no_file_or_too_large_is_not_read() {
    let folder = TempDir::new().unwrap();
    let code = |path: &Path, limit| super::read_bounded(path, limit).unwrap_err().code;
    assert_eq!(code(folder.path(), 10), "file-unreadable");
    assert_eq!(code(&folder.path().join("absent"), 10), "file-unreadable");
    assert_eq!(code(Path::new("/dev/zero"), 10), "file-unreadable");
    let file = folder.path().join("eleven");
    std::fs::write(&file, "eleven long").unwrap();
    assert_eq!(code(&file, 10), "file-oversized");
    assert_eq!(super::read_bounded(&file, 11).unwrap(), b"eleven long");
}

#[tokio::test]
async fn a_recipe_of_a_client_names_no_files_elsewhere() {
    let folder = TempDir::new().unwrap();
    let station = confined(folder.path());
    let recipe = folder.path().join("root/recipe.toml");
    for named in [
        "[images]\na = { file = \"../elsewhere/secret\", at = 0 }",
        "[images.a]\nfile = \"/etc/passwd\"",
        "[images]\na = { file = \"/no/such/file\", at = 0 }",
        "[images]\na = { file = \"../no-such-file\", at = 0 }",
        "[serial]\nfrom = \"../elsewhere/secret\"",
        "serial.from = \"inner/../../elsewhere/secret\"",
        "[values]\nfrom = \"../elsewhere/secret\"\nmac = \"mac\"",
        "[[step]]\nname = \"n\"\nnvs = { partition = \"nvs\", csv = \"../elsewhere/secret\" }",
    ] {
        std::fs::write(&recipe, named).unwrap();
        let refused = station
            .compile(&recipe)
            .await
            .map(|compiled| compiled.is_ok())
            .unwrap_err();
        assert_eq!(refused.code, "path-outside-roots", "{named}");
    }
    // What is wrong otherwise is the compiler's to say.
    std::fs::write(&recipe, "[images]\na = { file = \"mine\", at = 0 }").unwrap();
    assert!(station.compile(&recipe).await.unwrap().is_err());
    std::fs::write(&recipe, b"\xFF\xFE").unwrap();
    assert!(station.compile(&recipe).await.unwrap().is_err());
}

#[tokio::test]
async fn a_client_gets_nothing_out_of_any_key_store_in_its_roots() {
    let folder = TempDir::new().unwrap();
    let station = confined(folder.path());
    let root = folder.path().join("root");
    // Not the one beside its own journal: that of the line, in whose folder somebody rehearses.
    let store = station_line::keys::KeyStore::open(root.join("station.keys")).unwrap();
    let identity = store.folder().join("identity.txt");
    assert!(identity.is_file());
    let refused = station.readable(&identity).unwrap_err();
    assert_eq!(refused.code, "path-outside-roots");
    let refused = station.writable(&store.folder().join("new")).unwrap_err();
    assert_eq!(refused.code, "path-outside-roots");
    // Nor by way of a recipe, nor of the list of a build that a recipe names.
    let list = |file: &str| format!("{{\"flash_files\": {{\"0x10000\": \"{file}\"}}}}");
    let recipe = root.join("recipe.toml");
    for (name, named) in [
        ("station.keys/identity.txt", None),
        ("flasher_args.json", Some("station.keys/identity.txt")),
    ] {
        if let Some(named) = named {
            std::fs::write(root.join(name), list(named)).unwrap();
        }
        std::fs::write(&recipe, format!("[images]\na = {{ file = \"{name}\" }}")).unwrap();
        let refused = station.compile(&recipe).await;
        let refused = refused.map(|compiled| compiled.is_ok()).unwrap_err();
        assert_eq!(refused.code, "path-outside-roots", "{name}");
    }
    std::fs::write(root.join("flasher_args.json"), list("mine")).unwrap();
    std::fs::write(&recipe, "[images]\na = { file = \"flasher_args.json\" }").unwrap();
    assert!(station.compile(&recipe).await.is_ok());
}

#[test]
fn a_rehearsal_writes_over_no_journal_of_the_line() {
    let station = Station::open(StationOptions {
        rehearsal: true,
        ..StationOptions::default()
    })
    .unwrap();
    for name in ["station.db", "station.db-wal", "virtual.db"] {
        let refused = station.writable(Path::new(name)).unwrap_err();
        assert_eq!(refused.code, "file-unwritable", "{name}");
    }
}

#[test]
fn what_is_asked_of_a_virtual_board_is_not_recorded_where_real_units_are() {
    let station = |journal: Option<&str>, rehearsal| {
        Station::open(StationOptions {
            journal: journal.map(Into::into),
            rehearsal,
            ..StationOptions::default()
        })
        .unwrap()
    };
    let (board, chip) = (json!({"port": "virtual:1"}), json!({"port": "/dev/ttyX"}));
    let unnamed = station(None, false);
    let refused = unnamed.may_record(&board).unwrap_err();
    assert_eq!(refused.code, "rehearsal-in-real-journal");
    unnamed.may_record(&chip).unwrap();
    unnamed.may_record(&json!({"name": "k"})).unwrap();
    station(Some("line.db"), false).may_record(&board).unwrap();
    station(None, true).may_record(&board).unwrap();
}

fn config_error(text: &str) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("station.toml");
    std::fs::write(&path, text).unwrap();
    let refused = Station::open(StationOptions {
        config: Some(path),
        ..StationOptions::default()
    })
    .unwrap_err();
    assert_eq!(refused.exit, Exit::Usage, "{refused}");
    refused.code
}

#[test]
fn a_configuration_that_is_wrong_is_refused_with_what_is_wrong() {
    assert_eq!(config_error("[[bay"), "config-invalid");
    assert_eq!(config_error("[[bays]]\nname = \"a\""), "config-invalid");
    assert_eq!(
        config_error("[[bay]]\nname = \"a\"\naddress = \"virtual:1\"\nkind = 1"),
        "config-invalid"
    );
    assert_eq!(config_error("[[bay]]\nname = \"a\""), "bay-place");
    let twice = "[[bay]]\nname = \"a\"\naddress = \"virtual:1\"\n[[bay]]\nname = \"a\"\naddress = \"virtual:2\"";
    assert_eq!(config_error(twice), "bay-twice");
    let absent = StationOptions {
        config: Some("/no/such/station.toml".into()),
        ..StationOptions::default()
    };
    assert_eq!(Station::open(absent).unwrap_err().code, "config-unreadable");
}

/// The code with which an order is refused before anything is started.
fn seats_error(station: &Station, order: &RunOrder) -> String {
    station.seats(order).map(|_| ()).unwrap_err().code
}

#[tokio::test]
async fn bays_of_an_order_have_names_and_places_of_their_own() {
    let folder = TempDir::new().unwrap();
    let station = open_to_all(folder.path());
    let of = |bays: &[&str], virtual_boards| RunOrder {
        bays: bays.iter().map(|bay| (*bay).to_owned()).collect(),
        virtual_boards,
        ..RunOrder::default()
    };
    assert_eq!(seats_error(&station, &of(&[], 0)), "no-bays");
    assert_eq!(seats_error(&station, &of(&[], 65)), "too-many-bays");
    assert_eq!(seats_error(&station, &of(&["=virtual:1"], 0)), "bay-name");
    assert_eq!(
        seats_error(&station, &of(&["a\nb=virtual:1"], 0)),
        "bay-name"
    );
    assert_eq!(
        seats_error(&station, &of(&["a=virtual:0"], 0)),
        "port-invalid"
    );
    assert_eq!(
        seats_error(&station, &of(&["a=virtual:1", "b=virtual:1"], 0)),
        "bay-same-place"
    );
    assert_eq!(
        seats_error(&station, &of(&["a=virtual:2"], 2)),
        "bay-same-place"
    );
    assert_eq!(
        seats_error(&station, &of(&["a=/dev/ttyX", "b=tty:/dev/ttyX"], 0)),
        "bay-same-place"
    );
    let (seats, once) = station
        .seats(&of(&["a=virtual:3", "virtual:4"], 2))
        .unwrap();
    let names: Vec<&str> = seats.iter().map(|seat| seat.bay.name.as_str()).collect();
    assert_eq!(names, ["a", "virtual:4", "bay1", "bay2"]);
    assert!(seats.iter().all(|seat| seat.board.is_some()));
    assert!(once);
}

#[tokio::test]
async fn lot_and_operator_are_one_short_line() {
    let folder = TempDir::new().unwrap();
    let station = open_to_all(folder.path());
    for lot in ["", " ", "a\nb", &"x".repeat(101)] {
        let order = RunOrder {
            lot: Some((*lot).to_owned()),
            virtual_boards: 1,
            ..RunOrder::default()
        };
        assert_eq!(
            station.start_run(order, &asker()).await.unwrap_err().code,
            "words-invalid",
            "{lot:?}"
        );
    }
    assert!(!folder.path().join("line.db").exists());
}

#[tokio::test]
async fn many_who_record_at_once_open_one_journal() {
    let folder = TempDir::new().unwrap();
    let station = open_to_all(folder.path());
    let call = Call::silent(Face::Mcp, "a test");
    let asked = (0..16).map(|number| {
        station.record_invocation("esp_reset_chip", &call, json!({ "number": number }))
    });
    for recorded in futures_util::future::join_all(asked).await {
        recorded.unwrap();
    }
    let head = station.read(|reader| Ok(reader.head()?)).await.unwrap();
    assert_eq!(head.seq.0, 16);
    station.close().await;
}

#[tokio::test]
async fn an_opening_that_nobody_waits_for_any_more_serves_the_next() {
    let folder = TempDir::new().unwrap();
    let station = open_to_all(folder.path());
    // Again and again, because the opening that was given up ends at a moment of its own.
    for _ in 0..100 {
        let given_up = tokio::time::timeout(std::time::Duration::ZERO, station.journal()).await;
        drop(given_up);
        station.journal().await.unwrap();
        station.close().await;
    }
    // And closing lets go of the file.
    station.journal().await.unwrap();
}

#[tokio::test]
async fn nobody_is_signalled_when_no_other_station_has_the_journal() {
    let folder = TempDir::new().unwrap();
    let station = open_to_all(folder.path());
    drop(station.journal().await.unwrap());
    assert_eq!(
        station
            .signal_owner(CancelMode::Stop)
            .await
            .unwrap_err()
            .code,
        "run-not-running"
    );
    station.close().await;
    assert_eq!(
        station
            .signal_owner(CancelMode::Stop)
            .await
            .unwrap_err()
            .code,
        "run-not-running"
    );
}

#[tokio::test]
async fn a_port_in_the_rack_has_one_user_at_a_time() {
    let folder = TempDir::new().unwrap();
    let station = open_to_all(folder.path());
    let connector = station.connector("virtual:1").unwrap();
    let port = connector.open().await.unwrap();
    let refused = station
        .connector("virtual:1")
        .unwrap()
        .open()
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "port-in-use");
    drop(port);
    connector.open().await.unwrap();
}

#[test]
fn parameters_are_recorded_whole_unless_they_are_a_flood() {
    let usual = json!({"port": "virtual:1", "images": ["0x0=a.bin"], "count": 3, "rewrite": false});
    assert_eq!(bounded(usual.clone(), &mut 8192), usual);
    let flood = json!({"lot": "x".repeat(1_000_000), "images": vec!["y".repeat(100); 10_000], "port": "virtual:1"});
    let kept = bounded(flood, &mut 8192).to_string();
    assert!(kept.len() < 20_000, "{}", kept.len());
    assert!(kept.contains("1000000 bytes"), "{}", &kept[..100]);
}

#[test]
fn names_of_bays_are_those_of_the_configuration() {
    assert_eq!(
        super::runs::bay_name("A-1.left_2").unwrap(),
        BayName::new("A-1.left_2")
    );
    for wrong in ["", "-a", "a b", "ä", "a/b", &"x".repeat(33)] {
        assert_eq!(
            super::runs::bay_name(wrong).unwrap_err().code,
            "bay-name",
            "{wrong}"
        );
    }
}

/// The demo recipe, on boards of the rack.
fn demo(bays: &[&str], units: Option<u64>) -> RunOrder {
    RunOrder {
        recipe: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/demo.toml"),
        bays: bays.iter().map(|bay| (*bay).to_owned()).collect(),
        units,
        ..RunOrder::default()
    }
}

#[tokio::test]
async fn finished_boards_of_the_rack_are_swapped_whatever_their_bays_are_called() {
    let folder = TempDir::new().unwrap();
    let station = open_to_all(folder.path());
    // Not of the run, and so left alone, though its bay would have that name by default.
    let bystander = station
        .connector("virtual:1")
        .unwrap()
        .presence()
        .borrow()
        .to_owned();
    let run = station
        .start_run(
            demo(&["left=virtual:3", "bay1=virtual:5"], Some(6)),
            &asker(),
        )
        .await
        .unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), run.report()).await;
    let report = ended.expect("boards were not swapped").unwrap();
    assert_eq!(
        (report.tally.pass, report.tally.aborted),
        (6, 0),
        "{report:?}"
    );
    let now = station
        .connector("virtual:1")
        .unwrap()
        .presence()
        .borrow()
        .to_owned();
    assert!(
        bystander == now || bystander == station_device::Presence::Absent,
        "{bystander:?} {now:?}"
    );
    station.close().await;
}

#[tokio::test]
async fn a_run_whose_asker_goes_away_while_it_begins_leaves_nothing_open() {
    for patience in [0, 1, 5, 20, 80] {
        let folder = TempDir::new().unwrap();
        let station = open_to_all(folder.path());
        let patience = std::time::Duration::from_millis(patience);
        let asked = tokio::time::timeout(
            patience,
            station.start_run(demo(&["a=virtual:1"], Some(1000)), &asker()),
        )
        .await;
        drop(asked);
        station.close().await;
        if let Ok(report) = station.read(|reader| Ok(reader.verify()?)).await {
            assert!(
                report.is_clean() && !report.open,
                "{patience:?}: {report:?}"
            );
        }
    }
}
