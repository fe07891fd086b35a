//! What must hold for every table, and for whatever lies in a flash.

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Infallible, SeedableRng, TryCryptoRng, TryRng};

use super::layout::{ENTRY, FIRST, crc, entry_crc, header_crc, kind, state};
use super::*;
use crate::secret::Secret;

mod tables;

const HEADER: &str = "key,type,encoding,value\n";

fn no_files(name: &str) -> Result<Vec<u8>, String> {
    Err(format!("there is no `{name}`"))
}

fn content(rows: &str) -> Content {
    Content::parse_csv(&format!("{HEADER}{rows}"), &no_files).unwrap()
}

fn keys() -> NvsKeys {
    NvsKeys::new(Secret::new((0..64).collect())).unwrap()
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        "[^\0\r#]{0,60}".prop_map(Value::String),
        "[a-z]{0,1983}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..1984).prop_map(Value::Blob),
    ]
}

fn table() -> impl Strategy<Value = Content> {
    let entry = ("[a-d]", "[ -~]{1,15}", value());
    prop::collection::vec(entry, 0..40).prop_map(|entries| {
        let mut content = Content::new();
        content.add_namespace("first").unwrap();
        for (namespace, key, value) in entries {
            content.set(&namespace, &key, value).unwrap();
        }
        content
    })
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(content in table(), old in any::<bool>(), spare in 0..3_u32) {
        let version = if old { Version::V1 } else { Version::V2 };
        let size = smallest_size(&content, version).unwrap() + spare * 0x1000;
        let plain = build(&content, size, version).unwrap();
        prop_assert_eq!(plain.len(), size as usize);
        let image = parse(&plain, None).unwrap();
        prop_assert_eq!(&image.findings, &[]);
        prop_assert_eq!(&image.content().unwrap(), &content);
        let cipher = build_encrypted(&content, size, version, &keys()).unwrap();
        let read = parse(&cipher, Some(&keys())).unwrap();
        prop_assert_eq!(&read, &image);
        let unread = parse(&cipher, None).unwrap();
        prop_assert!(unread.looks_encrypted() && unread.entries.is_empty());
    }

    #[test]
    fn a_table_survives_its_csv_form(content in table()) {
        let csv = content.to_csv().unwrap();
        let read = Content::parse_csv(&csv, &no_files).unwrap();
        for entry in content.entries() {
            let (namespace, key) = (entry.namespace.as_str(), entry.key.as_str());
            prop_assert_eq!(read.find(namespace, key), Some(&entry.value));
        }
        prop_assert_eq!(read.rows().len(), content.rows().len());
    }

    #[test]
    fn a_size_less_than_the_smallest_is_refused(content in table()) {
        let needed = smallest_size(&content, Version::V2).unwrap();
        let size = needed - 0x1000;
        let refused = build(&content, size, Version::V2);
        if size >= MIN_WRITABLE_SIZE {
            prop_assert_eq!(refused.unwrap_err().fault, Fault::TooSmall { size, needed });
        } else {
            // Without the page that stays free, what is left suits read-only partitions.
            prop_assert!(refused.is_ok());
        }
    }

    #[test]
    fn damaged_images_are_read_without_harm(
        content in table(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        encrypted in any::<bool>(),
    ) {
        let size = smallest_size(&content, Version::V2).unwrap();
        let mut image = build(&content, size, Version::V2).unwrap();
        for (place, byte) in damage {
            *place.get_mut(&mut image) = byte;
        }
        let keys = keys();
        let read = parse(&image, encrypted.then_some(&keys)).unwrap();
        let _ = read.to_csv();
        let stored: usize = read.entries.iter().map(|entry| entry.value.length()).sum();
        prop_assert!(stored <= image.len());
    }

    /// Checksums are made right, so that what is behind them is reached.
    #[test]
    fn hostile_entries_are_read_without_harm(
        entries in prop::collection::vec(prop::array::uniform8(any::<u8>()), 0..126),
        kinds in prop::collection::vec(0..14_usize, 126),
        sequences in any::<[u32; 2]>(),
    ) {
        let known = [0x01, 0x11, 0x02, 0x12, 0x04, 0x14, 0x08, 0x18, 0x21, 0x41, 0x42, 0x48, 0x42, 0x48];
        let made: Vec<[u8; ENTRY]> = entries
            .iter()
            .zip(&kinds)
            .map(|(bytes, kind)| {
                let [namespace, span, chunk, length, count, start, a, b] = *bytes;
                let data = [length % 40, 0, 0, 0, count % 4, start % 4, a, b];
                entry([namespace % 3, known[*kind], 1 + span % 3, chunk % 4], b"k", data)
            })
            .collect();
        let mut bytes = page(sequences[0], state::FULL, &made);
        bytes.extend(page(sequences[1], state::FREEING, &made));
        let _ = parse(&bytes, None).unwrap().to_csv();
    }

    #[test]
    fn hostile_pages_are_read_without_harm(
        body in prop::collection::vec(any::<u8>(), PAGE - 32),
        encrypted in any::<bool>(),
    ) {
        let mut bytes = page(0, state::ACTIVE, &[]);
        bytes[32..].copy_from_slice(&body);
        let keys = keys();
        let image = parse(&bytes, encrypted.then_some(&keys)).unwrap();
        let page = &image.pages[0];
        prop_assert!(page.written + page.erased + page.free <= 126);
        let _ = image.to_csv();
    }

    #[test]
    fn hostile_csv_is_read_without_harm(text in ".{0,200}", rows in "([a-z0-9\"#,\n\r();x-]|data|string|hex2bin|base64|u8|namespace){0,80}") {
        let _ = Content::parse_csv(&text, &no_files);
        let _ = Content::parse_csv(&format!("{HEADER}n,namespace,,\n{rows}"), &no_files);
    }
}

/// An entry with right checksum: namespace, type, span and chunk, then key and data.
fn entry(head: [u8; 4], key: &[u8], data: [u8; 8]) -> [u8; ENTRY] {
    let mut entry = [0xFF; ENTRY];
    entry[..4].copy_from_slice(&head);
    entry[8..24].fill(0);
    entry[8..8 + key.len()].copy_from_slice(key);
    entry[24..].copy_from_slice(&data);
    let crc = entry_crc(&entry);
    entry[4..8].copy_from_slice(&crc.to_le_bytes());
    entry
}

/// A page of version 2 with these entries written.
fn page(sequence: u32, state: u32, entries: &[[u8; ENTRY]]) -> Vec<u8> {
    let mut page = vec![0xFF; PAGE];
    page[4..8].copy_from_slice(&sequence.to_le_bytes());
    page[8] = Version::V2.code();
    let crc = header_crc(page.first_chunk().unwrap());
    page[28..32].copy_from_slice(&crc.to_le_bytes());
    page[..4].copy_from_slice(&state.to_le_bytes());
    for (index, entry) in entries.iter().enumerate() {
        page[FIRST + index * ENTRY..][..ENTRY].copy_from_slice(entry);
        mark(&mut page, index, 0b10);
    }
    page
}

/// Sets the two bits of an entry.
fn mark(page: &mut [u8], index: usize, bits: u8) {
    let byte = &mut page[32 + index / 4];
    *byte = *byte & !(3 << (index % 4 * 2)) | bits << (index % 4 * 2);
}

fn name(number: u8, name: &[u8]) -> [u8; ENTRY] {
    entry(
        [0, kind::U8, 1, 0xFF],
        name,
        [number, 255, 255, 255, 255, 255, 255, 255],
    )
}

fn u8_entry(key: &[u8], value: u8) -> [u8; ENTRY] {
    entry(
        [1, kind::U8, 1, 0xFF],
        key,
        [value, 255, 255, 255, 255, 255, 255, 255],
    )
}

/// A chunk of a blob with up to 32 bytes.
fn chunk(number: u8, bytes: &[u8]) -> [[u8; ENTRY]; 2] {
    let mut data = [0xFF; 8];
    data[0] = bytes.len() as u8;
    data[1] = 0;
    data[4..].copy_from_slice(&crc(&[bytes]).to_le_bytes());
    let mut payload = [0xFF; ENTRY];
    payload[..bytes.len()].copy_from_slice(bytes);
    [
        entry([1, kind::BLOB_CHUNK, 2, number], b"blob", data),
        payload,
    ]
}

fn index(length: u8, count: u8, start: u8) -> [u8; ENTRY] {
    let data = [length, 0, 0, 0, count, start, 255, 255];
    entry([1, kind::BLOB_INDEX, 1, 0xFF], b"blob", data)
}

fn damages(image: &Image) -> Vec<Damage> {
    image
        .findings
        .iter()
        .map(|finding| finding.damage)
        .collect()
}

#[test]
fn pages_count_in_the_order_of_their_sequence() {
    let mut bytes = page(9, state::ACTIVE, &[u8_entry(b"k", 3)]);
    bytes.extend(vec![0xFF; PAGE]);
    bytes.extend(page(7, state::FULL, &[name(1, b"n"), u8_entry(b"k", 1)]));
    bytes.extend(page(
        8,
        state::FREEING,
        &[u8_entry(b"k", 2), u8_entry(b"m", 4)],
    ));
    let image = parse(&bytes, None).unwrap();
    assert_eq!(image.findings, []);
    let k = image.find("n", "k").unwrap();
    assert_eq!((&k.value, k.offset), (&Value::U8(3), 64));
    assert_eq!(image.find("n", "m").unwrap().value, Value::U8(4));
    let superseded = |offset, by| Superseded { offset, by };
    assert_eq!(
        image.superseded,
        [superseded(0x2060, 0x3040), superseded(0x3040, 0x40)]
    );
    let states: Vec<PageState> = image.pages.iter().map(|page| page.state).collect();
    let expected = [
        PageState::Active,
        PageState::Empty,
        PageState::Full,
        PageState::Freeing,
    ];
    assert_eq!(states, expected);
    let page = &image.pages[2];
    assert_eq!((page.sequence, page.version), (Some(7), Some(Version::V2)));
    assert_eq!((page.written, page.erased, page.free), (2, 0, 124));
    assert_eq!(
        image.to_csv().unwrap(),
        format!("{HEADER}n,namespace,,\nm,data,u8,4\nk,data,u8,3\n")
    );
}

#[test]
fn erased_entries_are_counted_and_not_read() {
    let entries = [name(1, b"n"), u8_entry(b"k", 1), u8_entry(b"m", 2)];
    let mut bytes = page(0, state::ACTIVE, &entries);
    mark(&mut bytes, 1, 0);
    let image = parse(&bytes, None).unwrap();
    assert_eq!((image.erased(), image.pages[0].written), (1, 2));
    assert_eq!(image.find("n", "k"), None);
    assert_eq!(image.find("n", "m").unwrap().value, Value::U8(2));
    assert_eq!(image.findings, []);
}

#[test]
fn a_blob_being_replaced_has_the_value_of_its_last_index() {
    let [a, a_data] = chunk(0, b"old");
    let [b, b_data] = chunk(0x80, b"new ");
    let [c, c_data] = chunk(0x81, b"value");
    let before = [
        name(1, b"n"),
        a,
        a_data,
        index(3, 1, 0),
        b,
        b_data,
        c,
        c_data,
    ];
    let image = parse(&page(0, state::ACTIVE, &before), None).unwrap();
    assert_eq!(
        image.find("n", "blob").unwrap().value,
        Value::Blob(b"old".to_vec())
    );
    assert_eq!(damages(&image), [Damage::Orphan, Damage::Orphan]);
    let mut after = before.to_vec();
    after.push(index(9, 2, 0x80));
    let image = parse(&page(0, state::ACTIVE, &after), None).unwrap();
    let blob = image.find("n", "blob").unwrap();
    assert_eq!(blob.value, Value::Blob(b"new value".to_vec()));
    assert_eq!(blob.offset as usize, FIRST + 8 * ENTRY);
    assert_eq!(damages(&image), [Damage::Orphan]);
}

#[test]
fn blobs_whose_parts_do_not_fit_are_reported() {
    let [a, a_data] = chunk(0, b"part");
    let blob = |index| {
        parse(
            &page(0, state::FULL, &[name(1, b"n"), a, a_data, index]),
            None,
        )
        .unwrap()
    };
    assert_eq!(damages(&blob(index(4, 1, 0))), []);
    assert_eq!(damages(&blob(index(4, 2, 0))), [Damage::ChunkMissing(1)]);
    assert_eq!(damages(&blob(index(5, 1, 0))), [Damage::BlobLength(5)]);
    assert_eq!(damages(&blob(index(0, 0, 0))), [Damage::Orphan]);
}

#[test]
fn a_damaged_entry_costs_no_other() {
    let content = content("n,namespace,,\na,data,u8,1\nb,data,string,text\nc,data,u8,3\n");
    let good = build(&content, 0x3000, Version::V2).unwrap();
    let entry = |index: usize| FIRST + index * ENTRY;
    let read = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let image = parse(&bytes, None).unwrap();
        assert!(!image.looks_encrypted());
        let keys: String = image
            .entries
            .iter()
            .map(|entry| entry.key.as_str())
            .collect();
        let finding = image.findings[0].clone();
        (
            keys,
            image.findings.len(),
            finding.offset as usize,
            finding.damage,
        )
    };
    assert_eq!(
        read(entry(1) + 24),
        ("bc".into(), 1, entry(1), Damage::EntryChecksum)
    );
    assert_eq!(
        read(entry(3)),
        ("ac".into(), 1, entry(2), Damage::ValueChecksum)
    );
    assert_eq!(
        read(entry(2) + 9),
        ("ac".into(), 1, entry(2), Damage::EntryChecksum)
    );
    assert_eq!(read(5), (String::new(), 1, 0, Damage::PageChecksum));
    assert_eq!(read(0x2FFF), ("abc".into(), 1, 0x2000, Damage::NotErased));
    let mut bytes = good.clone();
    mark(&mut bytes, 3, 0b11);
    let image = parse(&bytes, None).unwrap();
    assert_eq!(damages(&image), [Damage::Unfinished]);
    assert_eq!(
        image.findings[0].to_string(),
        "0x80: `b`: value is not written to its end"
    );
    mark(&mut bytes, 3, 0b01);
    assert_eq!(
        damages(&parse(&bytes, None).unwrap()),
        [Damage::Unfinished, Damage::Bitmap]
    );
}

#[test]
fn impossible_entries_are_reported() {
    let first = name(1, b"n");
    let of = |second| damages(&parse(&page(0, state::ACTIVE, &[first, second]), None).unwrap());
    assert_eq!(
        of(entry([1, 0x99, 1, 255], b"k", [0; 8])),
        [Damage::Kind(0x99)]
    );
    assert_eq!(
        of(entry([1, kind::U8, 0, 255], b"k", [0; 8])),
        [Damage::Span(0)]
    );
    assert_eq!(
        of(entry([1, kind::U8, 126, 255], b"k", [0; 8])),
        [Damage::Span(126)]
    );
    assert_eq!(of(entry([1, kind::U8, 1, 255], b"", [0; 8])), [Damage::Key]);
    assert_eq!(
        of(entry([1, kind::U8, 1, 255], &[b'k'; 16], [0; 8])),
        [Damage::Key]
    );
    assert_eq!(
        of(entry([7, kind::U8, 1, 255], b"k", [0; 8])),
        [Damage::NoNamespace(7)]
    );
    assert_eq!(of(name(0, b"zero")), [Damage::NamespaceNumber(0)]);
    assert_eq!(of(name(255, b"any")), [Damage::NamespaceNumber(255)]);
    assert_eq!(
        of(entry([1, kind::BLOB, 1, 255], b"k", [9; 8])),
        [Damage::Length(0x0909)]
    );
    let page_of = |code| damages(&parse(&page(0, code, &[first]), None).unwrap());
    assert_eq!(page_of(0xFFFF_FFF0), [Damage::PageState(0xFFFF_FFF0)]);
    let mut newer = page(0, state::ACTIVE, &[first]);
    newer[8] = 0xFD;
    let crc = header_crc(newer.first_chunk().unwrap());
    newer[28..32].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(
        damages(&parse(&newer, None).unwrap()),
        [Damage::PageVersion(0xFD)]
    );
}

#[test]
fn text_that_is_no_text_is_shown_but_not_built_again() {
    let bytes = [0xE4, b'!'];
    let mut data = [2, 0, 255, 255, 0, 0, 0, 0];
    data[4..].copy_from_slice(&crc(&[&bytes]).to_le_bytes());
    let mut payload = [0xFF; ENTRY];
    payload[..2].copy_from_slice(&bytes);
    let text = entry([1, kind::TEXT, 2, 255], b"k", data);
    let image = parse(
        &page(0, state::ACTIVE, &[name(1, b"n"), text, payload]),
        None,
    )
    .unwrap();
    let found = image.find("n", "k").unwrap();
    assert_eq!(
        (&found.value, found.exact),
        (&Value::String("\u{FFFD}!".into()), false)
    );
    assert_eq!(damages(&image), [Damage::Text]);
    assert_eq!(image.content().unwrap_err().fault, Fault::NotText);
}

/// Counts upwards, so that what is drawn can be told.
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.0;
            self.0 += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

#[test]
fn keys_go_into_their_partition_and_back() {
    let made = NvsKeys::generate(&mut Counting(0));
    assert_eq!(made, keys());
    assert_eq!((made.eky()[0], made.tky()[0]), (0, 32));
    let partition = made.to_partition();
    assert_eq!(partition.len(), PAGE);
    assert_eq!(NvsKeys::parse_partition(&partition).unwrap(), made);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = partition.expose().to_vec();
        change(&mut bytes);
        NvsKeys::parse_partition(&Secret::new(bytes))
            .unwrap_err()
            .code()
    };
    assert_eq!(with(&|bytes| bytes[3] ^= 1), "nvs-key-checksum");
    assert_eq!(with(&|bytes| bytes.fill(0xFF)), "nvs-no-keys");
    assert_eq!(with(&|bytes| bytes.truncate(66)), "nvs-key-length");
    assert_eq!(with(&|bytes| bytes.truncate(60)), "nvs-key-length");
    assert!(NvsKeys::from_hmac(&Secret::new(vec![1; 31])).is_err());
    let other = NvsKeys::generate(&mut ChaCha8Rng::seed_from_u64(1));
    assert_ne!(other, made);
    assert!(!format!("{other:?}").contains(&other.eky()[0].to_string().repeat(2)));
    assert_eq!(format!("{other:?}"), "NvsKeys { bytes: Secret(64 bytes) }");
}

#[test]
fn an_image_read_with_other_keys_says_so() {
    let content = content("n,namespace,,\nk,data,string,text\n");
    let image = build_encrypted(&content, 0x3000, Version::V2, &keys()).unwrap();
    let others = NvsKeys::from_hmac(&Secret::new(vec![5; 32])).unwrap();
    let read = parse(&image, Some(&others)).unwrap();
    assert!(read.looks_encrypted());
    assert_eq!(read.findings.len(), 1);
    let empty = parse(&[0xFF; 0x3000], None).unwrap();
    assert!(!empty.looks_encrypted() && empty.findings.is_empty());
}

#[test]
fn what_formats_for_debugging_shows_no_value() {
    let content = content("n,namespace,,\nk,data,string,opensesame\nb,data,hex2bin,c0ffee\n");
    let shown = format!("{content:?}");
    assert!(shown.contains("string(11 bytes)"), "{shown}");
    assert!(
        !shown.contains("opensesame") && !shown.contains("192"),
        "{shown}"
    );
    let image = build(&content, 0x3000, Version::V2).unwrap();
    assert!(!format!("{:?}", parse(&image, None).unwrap()).contains("opensesame"));
}
