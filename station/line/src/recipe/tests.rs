//! Tests over whole recipes: a corpus of invalid ones, properties, and the language against itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::schema::{self, Key, Kind, Table};
use super::syntax;
use super::{Code, RecipeErrors, compile, compile_text, describe, reference};
use crate::plan::ImageKind;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn recipes_in(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    paths
}

fn snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("tests/recipes/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

fn refused(path: &Path) -> RecipeErrors {
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    match compile_text(name, &text, path.parent().unwrap()) {
        Ok(compiled) => panic!("{name} compiles:\n{}", describe(&compiled.plan)),
        Err(errors) => errors,
    }
}

#[test]
fn every_invalid_recipe_is_refused_with_exactly_its_codes() {
    let recipes = recipes_in("tests/recipes/invalid");
    assert!(
        recipes.len() >= 50,
        "the corpus has shrunk to {}",
        recipes.len()
    );
    let mut wrong = String::new();
    for path in recipes {
        let text = fs::read_to_string(&path).unwrap();
        // The first line names every code that must be there, and there are no others.
        let codes = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "))
            .unwrap();
        let wanted: BTreeSet<_> = codes.split_whitespace().map(str::to_owned).collect();
        let errors = refused(&path);
        let found: BTreeSet<_> = errors
            .records()
            .into_iter()
            .map(|record| record.code)
            .collect();
        if found != wanted {
            wrong.push_str(&format!(
                "{}\n{wanted:?}\n{}\n",
                path.display(),
                errors.render()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_error_is_shown_with_its_source_line() {
    snapshots().bind(|| {
        for path in recipes_in("tests/recipes/invalid") {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            insta::assert_snapshot!(format!("invalid-{stem}"), refused(&path).render());
        }
    });
}

#[test]
fn the_corpus_has_an_example_of_every_error_code() {
    let corpus: String = recipes_in("tests/recipes/invalid")
        .iter()
        .filter_map(|path| {
            fs::read_to_string(path)
                .unwrap()
                .lines()
                .next()
                .map(str::to_owned)
        })
        .map(|line| format!("{line} "))
        .collect();
    // These have tests of their own: they need what cannot stand in a folder of recipes.
    let elsewhere = [Code::Unreadable, Code::FileTooLarge];
    for code in Code::ALL {
        let warning = code.meaning().starts_with("Warning:");
        if !warning && !elsewhere.contains(code) {
            assert!(
                corpus.contains(&format!("{code} ")),
                "no recipe is refused with {code}"
            );
        }
    }
}

#[test]
fn the_recipes_we_ship_compile_without_a_warning() {
    let recipes = recipes_in("recipes");
    assert!(recipes.len() >= 4);
    for path in recipes {
        let compiled = compile(&path).unwrap_or_else(|errors| panic!("{}", errors.render()));
        assert_eq!(compiled.render_warnings(), "", "{}", path.display());
    }
}

#[test]
fn a_valid_recipe_is_described_in_words() {
    snapshots().bind(|| {
        for path in recipes_in("tests/recipes/valid") {
            let compiled = compile(&path).unwrap_or_else(|errors| panic!("{}", errors.render()));
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let text = format!("{}{}", describe(&compiled.plan), compiled.render_warnings());
            // Only the file's own name, so that the text is the same everywhere.
            let text = text.replace(path.parent().unwrap().to_str().unwrap(), "…");
            insta::assert_snapshot!(format!("valid-{stem}"), text);
        }
    });
}

const SMALL: &str = r#"
format = 1
product = "small"
chip = "esp32c3"
[[step]]
name = "identify"
identify = { flash_size = "4MB" }
[[step]]
name = "wipe"
erase = { ranges = [{ at = 0x9000, size = "4KB" }] }
"#;

fn id_of(text: &str) -> String {
    match compile_text("small.toml", text, Path::new("/nowhere")) {
        Ok(compiled) => compiled.plan.id().to_string(),
        Err(errors) => panic!("{}", errors.render()),
    }
}

#[test]
fn the_identity_does_not_change_with_the_way_a_recipe_is_written() {
    let other = r#"
        # A comment.
        chip    = ["esp32c3"]
        product = 'small'
        format  = 0x1
        run     = { auto_start = true, attempt_timeout = "2m" }
        step = [
          { name = "identify", identify = { flash_size = "4096KB" }, always = false },
          { name = "wipe", erase = { ranges = [{ size = "4096B", at = "36864" }] }, timeout = "120s" },
        ]
    "#;
    assert_eq!(id_of(SMALL), id_of(other));
}

#[test]
fn the_identity_changes_with_everything_a_unit_would_notice() {
    let changes = [
        ("small", "large"),
        ("4MB", "8MB"),
        ("0x9000", "0xa000"),
        ("\"wipe\"", "\"clean\""),
        ("esp32c3", "esp32c6"),
        ("format = 1", "format = 1\nmin_revision = \"0.3\""),
        ("format = 1", "format = 1\nrun.seen_before = \"repeat\""),
        (
            "format = 1",
            "format = 1\nserial.pattern = \"A{counter:03}\"",
        ),
    ];
    for (from, to) in changes {
        assert_ne!(
            id_of(SMALL),
            id_of(&SMALL.replace(from, to)),
            "{from} to {to}"
        );
    }
}

#[test]
fn the_identity_is_the_hash_of_the_canonical_text() {
    let compiled = compile_text("small.toml", SMALL, Path::new("")).unwrap();
    let canonical = compiled.plan.canonical();
    assert_eq!(
        super::identity::sha256_hex(canonical.as_bytes()),
        compiled.plan.id().as_str()
    );
    snapshots().bind(|| insta::assert_snapshot!("canonical", canonical));
}

/// Images of the recipes that are signed with the demo key: file and what is signed.
fn signed_images() -> Vec<(PathBuf, Vec<u8>)> {
    use station_esp::{Chip, elf, image, loader};
    let chip = Chip::Esp32C3;
    let size = 4 * 1024 * 1024;
    let read = |file: &str| fs::read(root().join(file)).unwrap();
    let bundled = loader::bootloader(chip, 40).unwrap();
    let bootloader = image::for_flash_size(bundled, size).unwrap();
    let settings = elf::FlashSettings::usual(chip, size);
    let app = elf::to_flash_image(&read("recipes/demo/selftest.elf"), chip, &settings).unwrap();
    let at = |file: &str| root().join(file);
    vec![
        (at("recipes/production/bootloader.bin"), bootloader.clone()),
        (at("recipes/production/app.bin"), app),
        (
            at("tests/recipes/parts/bootloader-c3-signed.bin"),
            bootloader,
        ),
        (
            at("tests/recipes/parts/app-c3-signed.bin"),
            read("tests/recipes/parts/app-c3.bin"),
        ),
    ]
}

#[test]
fn the_signed_images_are_those_of_today_signed_with_the_demo_key() {
    use rand_chacha::rand_core::SeedableRng;
    use station_esp::secure::signature::{PrivateKey, SignedImage, padded, sign, verify_with};
    let pem = fs::read_to_string(root().join("tests/recipes/parts/demo-signing-key.pem")).unwrap();
    let key = PrivateKey::from_pem(&pem).unwrap();
    let public = root().join("recipes/production/signing.pem");
    let update = std::env::var_os("UPDATE_SIGNED").is_some();
    if update {
        fs::create_dir_all(public.parent().unwrap()).unwrap();
        fs::write(&public, key.public().to_pem()).unwrap();
    }
    assert_eq!(fs::read_to_string(&public).unwrap(), key.public().to_pem());
    for (path, plain) in signed_images() {
        if update {
            let mut chance = rand_chacha::ChaCha20Rng::seed_from_u64(1);
            fs::write(&path, sign(&plain, &[&key], &mut chance).unwrap()).unwrap();
        }
        let signed = fs::read(&path).unwrap_or_default();
        let shown = path.display();
        let image = SignedImage::parse(&signed).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert!(
            image.content() == padded(&plain),
            "{shown} is out of date: run the test with UPDATE_SIGNED=1"
        );
        let by = verify_with(&signed, std::slice::from_ref(key.public()));
        assert!(by.is_ok(), "{shown}: {by:?}");
    }
}

#[test]
fn every_danger_can_be_named() {
    for word in schema::DANGERS {
        let danger: station_esp::efuse::plan::Danger = word.parse().unwrap();
        assert_eq!(danger.to_string(), word);
    }
}

#[test]
fn records_for_machines_have_line_and_column() {
    let text = SMALL.replace("4KB", "4").replace("identify =", "identfy =");
    let errors = compile_text("small.toml", &text, Path::new("")).unwrap_err();
    let records = errors.records();
    assert_eq!(records.len(), 2, "{}", errors.render());
    assert_eq!(records[0].code, "recipe-unknown-key");
    assert_eq!((records[0].line, records[0].column), (Some(7), Some(1)));
    assert_eq!(records[0].hint.as_deref(), Some("did you mean `identify`?"));
    assert_eq!(records[1].code, "recipe-missing-unit");
    assert_eq!(errors.to_string(), "recipe `small.toml` has 2 errors");
}

#[test]
fn a_recipe_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let code = |path: &Path| compile(path).unwrap_err().records()[0].code.clone();
    assert_eq!(code(&path), "recipe-unreadable");
    assert_eq!(code(folder.path()), "recipe-unreadable");
    fs::write(&path, b"format = 1 # \xff").unwrap();
    assert_eq!(code(&path), "recipe-unreadable");
    fs::write(&path, "#".repeat(1024 * 1024 + 1)).unwrap();
    assert_eq!(code(&path), "recipe-unreadable");
}

#[test]
fn a_file_beyond_its_bound_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::File::create(folder.path().join("big.bin"))
        .unwrap()
        .set_len(64 * 1024 * 1024 + 1)
        .unwrap();
    fs::File::create(folder.path().join("big.csv"))
        .unwrap()
        .set_len(128 * 1024 * 1024 + 1)
        .unwrap();
    let text = SMALL.replace(
        "[[step]]\nname = \"identify\"",
        r#"
        [serial]
        from = "big.csv"
        column = "serial"
        [images]
        big = { file = "big.bin", at = 0x10000 }
        [[step]]
        name = "identify""#,
    );
    let errors = compile_text("x.toml", &text, folder.path()).unwrap_err();
    let codes: Vec<_> = errors
        .findings()
        .iter()
        .map(|finding| finding.code)
        .collect();
    assert_eq!(
        codes,
        [Code::FileTooLarge, Code::FileTooLarge],
        "{}",
        errors.render()
    );
}

#[test]
fn the_demo_has_its_images_where_the_chip_looks_for_them() {
    let compiled = compile(&root().join("recipes/demo.toml")).unwrap();
    let places: Vec<_> = compiled
        .plan
        .contents()
        .images
        .iter()
        .map(|image| (image.name.as_str(), image.offset, image.kind))
        .collect();
    assert_eq!(
        places,
        [
            ("bootloader", 0, ImageKind::Bootloader),
            ("table", 0x8000, ImageKind::PartitionTable),
            ("app", 0x10000, ImageKind::Application),
        ]
    );
    let used: Vec<_> = compiled.plan.template_names().into_iter().collect();
    assert_eq!(used, ["serial"]);
}

#[test]
fn the_identity_does_not_depend_on_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("demo")).unwrap();
    for file in ["demo.toml", "demo/partitions.csv", "demo/selftest.elf"] {
        fs::copy(root().join("recipes").join(file), folder.path().join(file)).unwrap();
    }
    let here = compile(&root().join("recipes/demo.toml")).unwrap();
    let there = compile(&folder.path().join("demo.toml")).unwrap();
    assert_eq!(here.plan.id(), there.plan.id());
    let table = folder.path().join("demo/partitions.csv");
    let text = fs::read_to_string(&table)
        .unwrap()
        .replace("0x6000", "0x5000");
    fs::write(&table, text).unwrap();
    let changed = compile(&folder.path().join("demo.toml")).unwrap();
    assert_ne!(here.plan.id(), changed.plan.id());
}

#[test]
fn the_identity_changes_with_values_of_units_and_not_with_the_order_of_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let text = SMALL.replace(
        "[[step]]\nname = \"wipe\"",
        "[[step]]\nname = \"own\"\n\
         data = { at = 0xa000, size = \"4KB\", value = \"{csv.a}\" }\n\
         [values]\nfrom = \"u.csv\"\nmac = \"mac\"\n\
         [[step]]\nname = \"wipe\"",
    );
    let id = |list: &str| {
        fs::write(folder.path().join("u.csv"), list).unwrap();
        match compile_text("small.toml", &text, folder.path()) {
            Ok(compiled) => compiled.plan.id().to_string(),
            Err(errors) => panic!("{}", errors.render()),
        }
    };
    let first = id("mac,a,b\n7cdfa1000001,1,2\n7cdfa1000002,3,4\n");
    let turned = id("b,mac,a\n4,7C:DF:A1:00:00:02,3\n2,7c-df-a1-00-00-01,1\n");
    assert_eq!(first, turned);
    assert_ne!(first, id("mac,a,b\n7cdfa1000001,1,2\n7cdfa1000002,3,5\n"));
    assert_ne!(first, id("mac,a,b\n7cdfa1000001,3,4\n7cdfa1000002,1,2\n"));
    assert_ne!(first, id("mac,a,b\n7cdfa1000001,1,2\n"));
}

#[test]
fn a_recipe_full_of_errors_is_answered_in_bounded_space() {
    let many: String = (0..20_000)
        .map(|number| format!("x{number} = 1\n"))
        .collect();
    let errors = compile_text("x.toml", &many, Path::new("")).unwrap_err();
    assert!(errors.findings().len() <= 100);
    assert!(errors.render().len() < 200_000);
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for open in ["[", "{a="] {
        let text = format!("format = {}", open.repeat(100_000));
        let errors = compile_text("x.toml", &text, Path::new("")).unwrap_err();
        assert_eq!(errors.findings()[0].code, Code::Syntax);
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let path = root().join("docs/recipe-reference.md");
    let reference = reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &reference).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == reference,
        "run the test with UPDATE_REFERENCE=1 and commit the file"
    );
}

#[test]
fn every_key_of_the_language_is_in_the_reference_recipe() {
    // What can be done again and again, and what cannot.
    let text: String = [
        "recipes/first-article.toml",
        "recipes/identity.toml",
        "recipes/production.toml",
    ]
    .into_iter()
    .map(|file| fs::read_to_string(root().join(file)).unwrap())
    .collect();
    let mut tables = Vec::new();
    reach(&schema::RECIPE, &mut tables);
    for key in tables.iter().flat_map(|table| table.keys) {
        let named =
            text.contains(&format!("{} =", key.name)) || text.contains(&format!("[{}]", key.name));
        assert!(
            named,
            "none of first-article.toml, identity.toml and production.toml shows `{}`",
            key.name
        );
    }
}

fn reach(table: &'static Table, tables: &mut Vec<&'static Table>) {
    if tables.iter().any(|known| known.title == table.title) {
        return;
    }
    tables.push(table);
    for Key { kind, .. } in table.keys {
        if let Kind::Table(inner)
        | Kind::Tables(inner)
        | Kind::Named(inner)
        | Kind::WordOrTable(_, inner) = kind
        {
            reach(inner, tables);
        }
    }
}

/// A deserializer that gives nothing and learns which fields a struct has.
struct FieldNames<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("only structs have fields"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        Err(de::Error::custom("seen"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields_of<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    let mut names = Vec::new();
    assert!(T::deserialize(FieldNames(&mut names)).is_err());
    names.sort_unstable();
    names
}

/// Every table of the language with the keys of its struct.
fn structs() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("The recipe", fields_of::<syntax::RecipeFile>()),
        ("`[run]`: how a run goes", fields_of::<syntax::RunTable>()),
        (
            "`[serial]`: serial numbers",
            fields_of::<syntax::SerialTable>(),
        ),
        (
            "`[values]`: what each unit gets of its own",
            fields_of::<syntax::ValuesTable>(),
        ),
        (
            "`[images]`: what can be written",
            fields_of::<syntax::ImageTable>(),
        ),
        ("`[[step]]`: one step", fields_of::<syntax::StepTable>()),
        ("`retry`: trying again", fields_of::<syntax::RetryTable>()),
        ("`identify`", fields_of::<syntax::IdentifyTable>()),
        ("`erase`", fields_of::<syntax::EraseTable>()),
        ("Places", fields_of::<syntax::PlaceTable>()),
        ("`flash`", fields_of::<syntax::FlashTable>()),
        ("`data`", fields_of::<syntax::DataTable>()),
        ("`serial`", fields_of::<syntax::SerialStepTable>()),
        ("`nvs`", fields_of::<syntax::NvsTable>()),
        (
            "`values` of `nvs`: one entry",
            fields_of::<syntax::NvsValueTable>(),
        ),
        (
            "`encryption` of `nvs`",
            fields_of::<syntax::NvsEncryptionTable>(),
        ),
        ("`boot`", fields_of::<syntax::BootTable>()),
        ("`test`", fields_of::<syntax::TestTable>()),
        (
            "`script`: questions and answers",
            fields_of::<syntax::ExchangeTable>(),
        ),
        ("`command`", fields_of::<syntax::CommandTable>()),
        (
            "`measures`: values from a program",
            fields_of::<syntax::OutputTable>(),
        ),
        ("`check`", fields_of::<syntax::CheckTable>()),
        ("`read`", fields_of::<syntax::ReadTable>()),
        ("`nvs` in `read`", fields_of::<syntax::NvsPlaceTable>()),
        ("`efuse`", fields_of::<syntax::EfuseTable>()),
        ("`key`", fields_of::<syntax::KeyTable>()),
        (
            "`source`: where a key comes from",
            fields_of::<syntax::KeySourceTable>(),
        ),
        (
            "`flash_encryption`",
            fields_of::<syntax::FlashEncryptionTable>(),
        ),
        (
            "The key of `flash_encryption`",
            fields_of::<syntax::EncryptionKeyTable>(),
        ),
        ("`secure_boot`", fields_of::<syntax::SecureBootTable>()),
        (
            "The key of `secure_boot` version 1",
            fields_of::<syntax::BootKeyTable>(),
        ),
        (
            "`digests`: trusted keys",
            fields_of::<syntax::DigestTable>(),
        ),
    ]
}

#[test]
fn the_schema_has_exactly_the_keys_of_the_structs() {
    let pairs = structs();
    let mut tables = Vec::new();
    reach(&schema::RECIPE, &mut tables);
    assert_eq!(tables.len(), pairs.len(), "a table has no struct here");
    for table in tables {
        let (_, fields) = pairs
            .iter()
            .find(|(title, _)| *title == table.title)
            .unwrap();
        let mut keys: Vec<_> = table.keys.iter().map(|key| key.name).collect();
        keys.sort_unstable();
        assert_eq!(&keys, fields, "{}", table.title);
    }
}

/// TOML that is near enough to a recipe to reach every corner of the compiler.
fn near_recipe() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "format = 1",
        "format = 2",
        "product = \"p\"",
        "chip = \"esp32c3\"",
        "chip = []",
        "chip = [\"esp32\", \"esp32c3\"]",
        "[run]",
        "mode = \"carrier\"",
        "attempt_timeout = \"0s\"",
        "bauds = [1, 2]",
        "[serial]",
        "pattern = \"{counter:03}\"",
        "pattern = 3",
        "from = \"x.csv\"",
        "column = \"serial\"",
        "allow = \"[\"",
        "[images]",
        "a = { file = \"x.bin\", at = 0x1 }",
        "b = { bundled = \"bootloader\", at = 0x0 }",
        "c = { file = \"x.elf\", at = \"factory\" }",
        "[[step]]",
        "name = \"s\"",
        "name = \"\"",
        "identify = { flash_size = \"4MB\" }",
        "identify = {}",
        "erase = { all = true }",
        "erase = { ranges = [{ at = 4294967295, size = \"4096MB\" }] }",
        "flash = { images = [\"a\", \"b\", \"zz\"] }",
        "data = { at = \"x\", value = \"{mac|uper}\" }",
        "serial = { at = 0xfffff000, size = \"8KB\" }",
        "boot = { expect = \"(\" }",
        "test = { script = [{ measure = \"m\", min = nan, max = 1, pattern = \"a\" }] }",
        "test = { boot = true, script = [] }",
        "command = { run = [], within = \"1s\" }",
        "check = { blank = [{ at = 0 }] }",
        "read = { at = 1, size = \"1B\" }",
        "[values]",
        "mac = \"mac\"",
        "nvs = { at = 0, size = \"12KB\", csv = \"x.csv\" }",
        "nvs = { partition = \"x\", encryption = {}, values = [{ namespace = \"\", key = \"k\", type = \"u8\", value = 256 }] }",
        "nvs = { at = 0, size = \"4KB\", values = [{ namespace = \"n\", key = \"k\", type = \"string\", value = \"{lot}{csv.x}\" }] }",
        "timeout = \"25h\"",
        "retry = { times = 2, on = [\"efuse\", \"x\"] }",
        "when = \"==\"",
        "when = \"{chip} == a\"",
        "always = 1",
        "needs = [\"\"]",
        "group = \"g\"",
        "[[step.test.script]]",
        "[step]",
        "images = 3",
        "step = {}",
        "x = 1979-05-27",
    ]);
    prop::collection::vec(words, 0..14).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_is_too_strange_to_be_judged(text in "[ -~\n\\[\\]{}='\"é]{0,200}") {
        if let Err(errors) = compile_text("x.toml", &text, Path::new("/nowhere")) {
            prop_assert!(!errors.findings().is_empty());
            let _ = errors.render();
            let _ = errors.records();
        }
    }

    #[test]
    fn no_recipe_is_too_strange_to_be_judged(text in near_recipe()) {
        match compile_text("x.toml", &text, Path::new("/nowhere")) {
            Ok(compiled) => prop_assert!(!describe(&compiled.plan).is_empty()),
            Err(errors) => {
                prop_assert!(!errors.findings().is_empty());
                let _ = errors.render();
            }
        }
    }
}
