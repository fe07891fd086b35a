//! What can be asked is declared once: every operation is on every face, with its schemas and its record.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use station::operation::{Call, Effect, Face, Registry};
use station::operations::registry;
use station::rack::RackOptions;
use station::station::{Station, StationOptions};

use station_esp::{Chip, elf};

use crate::support::{self, Client, TestStation, recipe};

/// A station in this process, with a journal and one virtual board that takes no time.
fn in_process(folder: &TestStation) -> Station {
    Station::open(StationOptions {
        journal: Some(folder.journal()),
        rack: RackOptions {
            timed: false,
            ..RackOptions::default()
        },
        virtual_boards: 1,
        ..StationOptions::default()
    })
    .unwrap()
}

fn call() -> Call {
    Call::silent(Face::Mcp, "a test")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn names(registry: &Registry) -> Vec<&'static str> {
    registry
        .iter()
        .flat_map(|operation| {
            let declaration = operation.declaration();
            std::iter::once(declaration.name).chain(declaration.aliases.iter().copied())
        })
        .collect()
}

#[test]
fn names_and_places_are_unique_and_summaries_are_sentences() {
    let registry = registry();
    let names = names(&registry);
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "{names:?}"
    );
    let places: Vec<String> = registry
        .iter()
        .map(|operation| operation.declaration().command.join(" "))
        .collect();
    assert_eq!(
        places.iter().collect::<BTreeSet<_>>().len(),
        places.len(),
        "{places:?}"
    );
    for operation in registry.iter() {
        let declaration = operation.declaration();
        let name = declaration.name;
        assert!(
            name.chars()
                .all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_'),
            "{name}"
        );
        assert!(
            declaration.summary.ends_with('.'),
            "{name}: {}",
            declaration.summary
        );
        assert!(
            !declaration.summary.contains("  "),
            "{name}: {}",
            declaration.summary
        );
        assert!(
            !declaration.title.ends_with('.') && !declaration.title.is_empty(),
            "{name}"
        );
        assert!(
            !declaration.command.is_empty(),
            "{name} has no place on the command line"
        );
    }
}

#[test]
fn the_operations_that_were_promised_are_there() {
    let promised = "esp_scan_ports esp_detect_chip esp_chip_info esp_connect_advanced esp_test_connection \
        esp_reset_chip esp_flash_firmware esp_flash_multi esp_flash_read esp_flash_erase esp_flash_id \
        esp_flash_verify esp_partition_read esp_mac_address_read esp_serial_monitor esp_batch_program \
        recipe_check run_status run_events run_cancel unit_trace yield failure_pareto journal_verify \
        esp_security_audit esp_security_validate esp_security_configure esp_efuse_read esp_efuse_plan \
        esp_efuse_burn esp_encryption_enable esp_enable_flash_encryption esp_secure_boot_enable \
        esp_key_generate esp_key_list esp_image_sign esp_image_verify_signature esp_public_key_digest \
        esp_elf_to_binary esp_elf_to_ram_binary esp_binary_merge esp_firmware_analyze \
        esp_bootloader_build esp_app_prepare esp_binary_optimize esp_size_analysis \
        esp_flash_encrypt recipe_release approval_list approval_grant \
        esp_partition_show esp_partition_convert esp_partition_create_ota esp_partition_custom \
        esp_partition_analyze esp_partition_flash esp_nvs_partition_create esp_nvs_partition_read \
        esp_nvs_keys esp_cert_partition_create esp_cert_partition_read esp_matter_partition_create \
        esp_ota_package_create esp_ota_validate esp_ota_partition_setup esp_ota_flash_prepare \
        esp_ota_status esp_ota_rollback esp_ota_deploy";
    let registry = registry();
    for name in promised.split_whitespace() {
        assert!(registry.find(name).is_some(), "no {name}");
    }
}

#[test]
fn every_parameter_and_answer_has_a_schema_with_a_description() {
    for operation in registry().iter() {
        let name = operation.declaration().name;
        for (what, schema) in [
            ("parameters", operation.input_schema()),
            ("answer", operation.output_schema()),
        ] {
            assert_eq!(schema["type"], "object", "{name}: {what}");
            let properties = schema.get("properties").and_then(Value::as_object);
            for (field, property) in properties.into_iter().flatten() {
                assert!(
                    property.get("description").is_some(),
                    "{name}: `{field}` of its {what} is not described"
                );
            }
        }
    }
}

#[test]
fn every_operation_is_a_command() {
    let station = TestStation::new();
    for operation in registry().iter() {
        let declaration = operation.declaration();
        let mut arguments = declaration.command.to_vec();
        arguments.push("--help");
        let help = station.run(&arguments).expect(0).out;
        let leaf = operation.arguments(clap::Command::new("leaf"));
        for argument in leaf.get_arguments() {
            let shown = match argument.get_long() {
                Some(long) => format!("--{long}"),
                None => argument.to_string(),
            };
            assert!(
                help.contains(&shown),
                "{}: no {shown} in\n{help}",
                declaration.name
            );
        }
        let schema = operation.input_schema();
        let parameters = schema.get("properties").and_then(Value::as_object);
        for parameter in parameters.into_iter().flatten().map(|(name, _)| name) {
            let given = leaf.get_arguments().any(|argument| {
                argument.get_id() == parameter.as_str()
                    || argument.get_long() == Some(&parameter.replace('_', "-"))
            });
            assert!(
                given,
                "{}: `{parameter}` cannot be given on the command line",
                declaration.name
            );
        }
        assert!(
            !help.contains("Parameters of"),
            "{}:\n{help}",
            declaration.name
        );
    }
}

#[test]
fn every_operation_is_a_tool_with_the_declared_schemas_and_annotations() {
    let station = TestStation::new();
    let registry = registry();
    let answer = Client::of(&station).ask("tools/list", &json!({}));
    let tools = answer["result"]["tools"].as_array().unwrap();
    let listed: BTreeSet<&str> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(listed, names(&registry).into_iter().collect());
    for tool in tools {
        let operation = registry.find(tool["name"].as_str().unwrap()).unwrap();
        let declaration = operation.declaration();
        assert_eq!(tool["description"], declaration.summary);
        assert_eq!(
            tool["inputSchema"],
            Value::Object(operation.input_schema()),
            "{}",
            declaration.name
        );
        assert_eq!(
            tool["outputSchema"],
            Value::Object(operation.output_schema()),
            "{}",
            declaration.name
        );
        let hints = &tool["annotations"];
        assert_eq!(
            hints["readOnlyHint"],
            declaration.effect == Effect::Read,
            "{}",
            declaration.name
        );
        assert_eq!(
            hints["destructiveHint"],
            declaration.effect != Effect::Read,
            "{}",
            declaration.name
        );
        assert_eq!(
            hints["idempotentHint"], declaration.idempotent,
            "{}",
            declaration.name
        );
    }
}

#[test]
fn a_parameter_that_an_operation_does_not_have_is_refused_before_anything_is_done() {
    let folder = TestStation::new();
    runtime().block_on(async {
        let station = in_process(&folder);
        for operation in registry().iter() {
            let parameters = json!({ "no_such_parameter": true });
            let refused = operation
                .invoke(&station, parameters, &call())
                .await
                .unwrap_err();
            assert_eq!(
                refused.code,
                "parameters-unknown",
                "{}",
                operation.declaration().name
            );
            assert_eq!(refused.exit.code(), 2);
            assert!(
                refused.message.contains("no_such_parameter"),
                "{}",
                refused.message
            );
        }
        station.close().await;
    });
    assert!(
        !folder.journal().exists(),
        "a refused call is not recorded as one that was made"
    );
}

#[test]
fn a_client_is_told_why_in_a_result_that_is_an_error() {
    let station = TestStation::new();
    let mut client = Client::of(&station);
    let refusal = |result: &Value| -> Value {
        assert_eq!(result["isError"], true, "{result}");
        assert!(
            result.get("structuredContent").is_none_or(Value::is_null),
            "{result}"
        );
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
    };
    let misspelt = client.call("esp_chip_info", &json!({"port": "virtual:1", "prot": 1}));
    assert_eq!(refusal(&misspelt)["code"], "parameters-unknown");
    let absent = client.call("esp_chip_info", &json!({"port": "/dev/absent"}));
    assert_eq!(refusal(&absent)["code"], "no-board");
    let outside = client.call("recipe_check", &json!({"recipe": "/etc/passwd"}));
    assert_eq!(refusal(&outside)["code"], "path-outside-roots");
    let answered = client.call("esp_chip_info", &json!({"port": "virtual:1"}));
    assert_eq!(
        answered["structuredContent"]["identity"]["chip"], "esp32c3",
        "{answered}"
    );
    assert_eq!(client.hang_up(), Some(0));
}

/// A policy of one harmless fuse.
const QUIET: &str = "name = \"quiet\"\nwhy = \"a test\"\n[[rules]]\nfield = \"UART_PRINT_CONTROL\"\n\
    want = { value = 3 }\nlevel = \"must\"\nwhy = \"a test\"\n";

/// The demo's application as an image.
fn application() -> Vec<u8> {
    let elf = support::root().join("recipes/demo/selftest.elf");
    let settings = elf::FlashSettings::usual(Chip::Esp32C3, 4 << 20);
    elf::to_flash_image(&std::fs::read(elf).unwrap(), Chip::Esp32C3, &settings).unwrap()
}

/// What an operation that burns fuses can be asked for.
fn burn(name: &str, folder: &TestStation) -> Option<Value> {
    let mut wish = match name {
        "esp_efuse_burn" => json!({"set": ["UART_PRINT_CONTROL=1"]}),
        "esp_security_configure" => {
            let accept = [
                "usb-closed",
                "download-closed",
                "encryption-without-content",
                "secure-boot-without-signed-content",
                "unprotected-key",
            ];
            json!({"policy": folder.write("quiet.toml", QUIET), "accept": accept})
        }
        "esp_encryption_enable" => json!({"mode": "development", "content": "written"}),
        "esp_secure_boot_enable" => {
            let digest = folder.write("digest.bin", [0xD1; 32]);
            json!({"public_keys": [digest], "content_signed": true})
        }
        _ => return None,
    };
    wish["port"] = "virtual:1".into();
    Some(wish)
}

/// Operations that find nothing here which they could change: how they are asked, and their refusal.
fn in_vain(name: &str, folder: &TestStation) -> Option<(Value, &'static str)> {
    if let Some(burn) = burn(name, folder) {
        return Some((burn, "approval-needed"));
    }
    let absent = folder.folder().join("absent.ota");
    Some(match name {
        "bay_start" | "bay_clear" => (json!({"run": 99}), "run-not-running"),
        "esp_key_forget" => (
            json!({"name": "given", "reason": "a test"}),
            "approval-needed",
        ),
        "esp_ota_deploy" => (
            json!({"package": absent, "unsigned": true}),
            "file-unreadable",
        ),
        "esp_ota_set" => (json!({"port": "virtual:1", "slot": "0"}), "otadata-missing"),
        "esp_ota_rollback" => (json!({"port": "virtual:1"}), "otadata-missing"),
        // A client that cannot ask a person; the person's yes is another suite's.
        "recipe_release" => (
            json!({"recipe": recipe("demo.toml")}),
            "confirmation-impossible",
        ),
        "recipe_withdraw" => (json!({"plan": "0", "reason": "a test"}), "release-missing"),
        "unit_release" => (
            json!({"unit": "7c:df:a1:00:00:01", "reason": "a test"}),
            "unit-not-quarantined",
        ),
        _ => return None,
    })
}

/// Parameters with which an operation that changes something can be asked.
fn parameters_of(name: &str, folder: &TestStation) -> Value {
    let image = folder.write("image.bin", vec![0x5A; 5000]);
    let key = folder.write("key.bin", [0x5A; 32]);
    let out = |name: &str| folder.folder().join(name);
    match name {
        "esp_reset_chip" => json!({"port": "virtual:1", "listen": "100ms"}),
        "esp_flash_firmware" => json!({"port": "virtual:1", "file": image, "at": "0x10000"}),
        "esp_flash_multi" => {
            json!({"port": "virtual:1", "images": [format!("0x10000={}", image.display())]})
        }
        "esp_flash_erase" => json!({"port": "virtual:1", "at": "0x10000", "size": "4KB"}),
        "esp_partition_flash" => {
            let table = folder.write("table.csv", "nvs,data,nvs,0x9000,0x6000\n");
            json!({"port": "virtual:1", "file": table})
        }
        "esp_batch_program" => json!({"recipe": recipe("demo.toml"), "virtual": 1}),
        "esp_key_generate" => json!({"name": "made", "kind": "ecdsa-p256"}),
        "esp_key_import" => json!({"name": "given", "kind": "hmac", "file": key}),
        "esp_key_escrow" => json!({}),
        "esp_image_sign" => json!({"file": image, "key": "made", "out": out("signed.bin")}),
        "esp_app_prepare" => {
            let bootloader = station_esp::loader::bootloader(Chip::Esp32C3, 40);
            let file = folder.write("bootloader.bin", bootloader.unwrap());
            json!({"file": file, "chip": "esp32c3", "out": out("prepared.bin")})
        }
        "esp_ota_package_create" => {
            let file = folder.write("application.bin", application());
            json!({"image": file, "product": "demo", "version": "1", "out": out("made.ota")})
        }
        // What these do is in the events they cause, or they must work while another station records.
        "run_cancel" | "journal_rebuild" | "approval_grant" => Value::Null,
        other => panic!("say here how {other} is asked, so that its record is tested"),
    }
}

#[test]
fn whatever_changes_something_is_recorded_with_who_asked_for_it() {
    let folder = TestStation::new();
    let mut recorded = 0;
    runtime().block_on(async {
        let station = in_process(&folder);
        for operation in registry()
            .iter()
            .filter(|operation| operation.declaration().effect != Effect::Read)
        {
            let name = operation.declaration().name;
            let (parameters, refused) = match in_vain(name, &folder) {
                Some((parameters, code)) => (parameters, Some(code)),
                None => (parameters_of(name, &folder), None),
            };
            if parameters.is_null() {
                continue;
            }
            let outcome = operation
                .invoke(&station, parameters.clone(), &call())
                .await;
            let code = outcome.err().map(|error| error.code);
            assert_eq!(code.as_deref(), refused, "{name}");
            recorded += 1;
            let record = folder.record();
            let asked = record
                .events()
                .into_iter()
                .rfind(|(_, kind, _)| kind == "operation_invoked");
            let (_, _, asked) = asked.unwrap_or_else(|| panic!("{name} left no record"));
            assert_eq!(asked["operation"], name);
            assert_eq!(
                (&asked["face"], &asked["by"]),
                (&"mcp".into(), &"a test".into())
            );
            assert_eq!(asked["parameters"], parameters, "{name}");
            // A run holds the board until it has ended.
            if let Some(run) = station.live_run(station_line::event::RunId(1)) {
                run.report().await.unwrap();
            }
        }
        station.close().await;
    });
    let record = folder.record();
    let events = record.number("SELECT count(*) FROM event WHERE kind = 'operation_invoked'");
    assert_eq!(events, recorded);
}

#[test]
fn what_only_reads_leaves_no_journal_behind() {
    let folder = TestStation::new();
    runtime().block_on(async {
        let station = in_process(&folder);
        for (name, parameters) in [
            ("esp_scan_ports", json!({})),
            ("esp_detect_chip", json!({"port": "virtual:1"})),
            ("esp_flash_id", json!({"port": "virtual:1"})),
            ("esp_mac_address_read", json!({"port": "virtual:1"})),
            ("recipe_check", json!({"recipe": recipe("demo.toml")})),
        ] {
            let operation = registry().find(name).cloned().unwrap();
            operation
                .invoke(&station, parameters, &call())
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        station.close().await;
    });
    assert!(!folder.journal().exists());
}

#[test]
fn a_change_without_a_record_is_not_made() {
    let folder = TestStation::new();
    folder.write(
        "station.db",
        b"this is no journal, and long enough that SQLite looks at it".repeat(20),
    );
    let image = folder.write("image.bin", vec![0x5A; 5000]);
    runtime().block_on(async {
        let station = in_process(&folder);
        let write = json!({"port": "virtual:1", "file": image, "at": "0x10000"});
        let refused = registry()
            .find("esp_flash_firmware")
            .unwrap()
            .invoke(&station, write, &call())
            .await;
        assert_eq!(refused.unwrap_err().code, "journal-corrupt");
        let out = folder.folder().join("flash.bin");
        let read = json!({"port": "virtual:1", "at": "0x10000", "size": "4KB", "out": out});
        registry()
            .find("esp_flash_read")
            .unwrap()
            .invoke(&station, read, &call())
            .await
            .unwrap();
        assert!(
            std::fs::read(&out)
                .unwrap()
                .iter()
                .all(|byte| *byte == 0xFF),
            "the board was written to"
        );
        station.close().await;
    });
}
