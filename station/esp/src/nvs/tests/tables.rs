//! Tables: what they hold, what they refuse and where, and what their CSV form carries.

use super::super::*;
use super::{HEADER, content, no_files};

#[test]
fn faults_of_a_table_name_line_and_column() {
    let fault = |rows: &str| {
        Content::parse_csv(&format!("{HEADER}n,namespace,,\n{rows}"), &no_files)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        fault("# note\na,data,string,\"1\n2\"\nk,data,u8,256"),
        "line 6, column `value`: `256` is no decimal number that fits `u8`"
    );
    assert_eq!(
        fault("k,data,u9,1"),
        "line 3, column `encoding`: encoding `u9` is not known here"
    );
    assert_eq!(
        fault("k,date,u8,1"),
        "line 3, column `type`: type `date` is neither `data`, `file` nor `namespace`"
    );
    assert_eq!(
        fault("k,data,u8,1\nk,data,u8,1"),
        "line 4, column `key`: the key stands twice in its namespace"
    );
    assert_eq!(
        fault("k,data,string,\"a\0b\""),
        "line 3, column `value`: text contains a NUL"
    );
    assert_eq!(
        fault("k,file,binary,x"),
        "line 3, column `value`: file `x`: there is no `x`"
    );
    assert_eq!(
        fault("k,data,u8"),
        "line 3, column `value`: 3 columns, of which the header names 4"
    );
    assert_eq!(
        fault("k,data,string,\"open"),
        "line 3: quotes are not closed at the end of the field"
    );
    assert_eq!(
        fault("a_key_of_16_letr,data,u8,1"),
        "line 3, column `key`: name `a_key_of_16_letr` is not 1 to 15 printable ASCII letters"
    );
}

#[test]
fn faults_of_a_value_name_its_key() {
    let blob = content(&format!(
        "n,namespace,,\nk,data,hex2bin,{}\n",
        "00".repeat(3000)
    ));
    let fault = build(&blob, 0x3000, Version::V1).unwrap_err().to_string();
    assert_eq!(fault, "`n`/`k`: value of 3000 bytes, of which 1984 fit");
    let mut big = Content::new();
    big.push("n", "k", Value::Blob(vec![1; 9000])).unwrap();
    let fault = build(&big, 0x3000, Version::V2).unwrap_err().to_string();
    assert_eq!(
        fault,
        "`n`/`k`: content does not fit 0x3000 bytes; it needs 0x4000"
    );
    for size in [0, 0x1001, MAX_SIZE + 0x1000] {
        assert_eq!(
            build(&big, size, Version::V2).unwrap_err().code(),
            "nvs-size"
        );
    }
    assert_eq!(parse(&[0xFF; 100], None).unwrap_err().code(), "nvs-size");
    assert_eq!(parse(&[], None).unwrap_err().code(), "nvs-size");
}

#[test]
fn blobs_and_tables_have_a_stated_bound() {
    let mut content = Content::new();
    let error = content
        .push("n", "k", Value::Blob(vec![0; MAX_BLOB + 1]))
        .unwrap_err();
    assert_eq!(error.code(), "nvs-too-long");
    let mut whole = Content::new();
    whole
        .push("n", "k", Value::Blob(vec![0; MAX_BLOB - 4000]))
        .unwrap();
    let image = build(&whole, 0x9_0000, Version::V2).unwrap();
    assert_eq!(parse(&image, None).unwrap().content().unwrap(), whole);
    // A first page that is not empty costs a chunk.
    let error = whole.set("n", "k", Value::Blob(vec![0; MAX_BLOB]));
    assert_eq!(error, Ok(()));
    let error = build(&whole, 0x9_0000, Version::V2).unwrap_err();
    assert_eq!(error.code(), "nvs-too-many-chunks");
    let row = |number| format!("k{number},data,blob_fill(500000;0x00),\n");
    let rows: String = (0..40).map(row).collect();
    let csv = format!("{HEADER}n,namespace,,\n{rows}");
    let error = Content::parse_csv(&csv, &no_files).unwrap_err();
    assert_eq!((error.code(), error.line()), ("nvs-too-much", Some(36)));
}

#[test]
fn text_that_csv_would_change_is_not_written_as_csv() {
    for text in ["a\rb", "a\n#b"] {
        let mut content = Content::new();
        content.push("n", "k", Value::String(text.into())).unwrap();
        assert_eq!(content.to_csv().unwrap_err().code(), "nvs-not-csv");
    }
}

#[test]
fn a_wifi_configuration_survives_its_csv_form() {
    let rows = "net,namespace,,\nsta.ssid,data,string,home\nap.ssid,data,string,box\n\
                ap.passwd,data,string,password\nap.authmode,data,u8,3\n";
    let made = content(rows);
    assert_eq!(made.entries().count(), 8);
    let csv = made.to_csv().unwrap();
    assert_eq!(Content::parse_csv(&csv, &no_files), Ok(made));
    let mut part = Content::new();
    part.push("net", "sta.ssid", Value::String("home".into()))
        .unwrap();
    assert_eq!(part.to_csv().unwrap_err().code(), "nvs-part-of-wifi");
    // As firmware leaves it: in an order of its own, with a hash that was not computed here.
    let own = content(&format!(
        "{rows}sta.pmk,data,hex2bin,0102\nap.pmk_info,data,hex2bin,03\n"
    ));
    let last = own.entries().last().unwrap();
    assert_eq!(
        (last.key.as_str(), &last.value),
        ("ap.pmk_info", &Value::Blob(vec![3]))
    );
    assert_eq!(own.find("net", "sta.pmk"), Some(&Value::Blob(vec![1, 2])));
    let csv = own.to_csv().unwrap();
    assert_eq!(Content::parse_csv(&csv, &no_files), Ok(own));
    let twice = format!("{HEADER}{rows}sta.pmk,data,u8,1\nsta.pmk,data,u8,2\n");
    let error = Content::parse_csv(&twice, &no_files).unwrap_err();
    assert_eq!((error.code(), error.line()), ("nvs-duplicate", Some(8)));
}

#[test]
fn a_password_is_not_set_beside_the_hash_of_another() {
    let text = |text: &str| Value::String(text.to_owned());
    let rows = "net,namespace,,\nap.ssid,data,string,box\nap.passwd,data,string,password\n";
    let mut plain = content(rows);
    assert_eq!(plain.set("net", "ap.passwd", text("unit 17")), Ok(()));
    let mut hashed = content(&format!("{rows}ap.authmode,data,u8,3\n"));
    assert_eq!(hashed.set("net", "ap.passwd", text("password")), Ok(()));
    for key in ["ap.passwd", "ap.ssid"] {
        let error = hashed.set("net", key, text("unit 17")).unwrap_err();
        assert_eq!(error.code(), "nvs-hashed");
    }
    assert_eq!(hashed.set("other", "ap.ssid", text("unit 17")), Ok(()));
}

#[test]
fn a_value_can_be_set_again_in_its_place() {
    let mut content = content("n,namespace,,\na,data,u8,1\nb,data,string,-\nc,data,u8,3\n");
    content
        .set("n", "b", Value::String("SN-000042".into()))
        .unwrap();
    assert_eq!(
        content.push("n", "b", Value::U8(1)).unwrap_err().code(),
        "nvs-duplicate"
    );
    let keys: String = content
        .entries()
        .map(|entry| entry.key.to_string())
        .collect();
    assert_eq!(keys, "abc");
    assert_eq!(
        content.find("n", "b"),
        Some(&Value::String("SN-000042".into()))
    );
}
