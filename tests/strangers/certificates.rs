//! Unmodified esp_secure_cert_tool makes the same partitions as we do, and its parser reads ours.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use station_esp::cert::{
    Certificate, EfuseReference, Entry, Identity, IdentityKey, KeyFile, KeyKind, KeyPlace, Kind,
    Partition, RsaContext,
};
use station_esp::chip::Chip;
use station_esp::secret::Secret;
use station_esp::secure::signature::PrivateKey;
use tempfile::TempDir;

use crate::support::{Ran, python};

fn driver(arguments: &[&str]) {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/strangers/certificates.py"
    );
    let output = python().arg(script).args(arguments).output().unwrap();
    Ran::of(&output).expect(0);
}

/// One case that the driver made: inputs and the tool's partition.
struct Case {
    folder: PathBuf,
    facts: Value,
}

impl Case {
    fn input(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    fn certificate(&self, name: &str) -> Option<Certificate> {
        let file = self.input(name)?;
        Some(Certificate::read(&file).unwrap())
    }

    fn key(&self) -> KeyFile {
        KeyFile::read(&self.input("key").unwrap()).unwrap()
    }

    fn made(&self, name: &str) -> Vec<u8> {
        self.input(&format!("esp_secure_cert_data/{name}")).unwrap()
    }

    fn chip(&self) -> Chip {
        self.facts["chip"].as_str().unwrap().parse().unwrap()
    }

    fn block(&self) -> u8 {
        self.facts["block"].as_u64().unwrap().try_into().unwrap()
    }

    fn identity(&self, key: Option<IdentityKey<'_>>) -> Partition {
        let (ca, device) = (self.certificate("ca"), self.certificate("device"));
        let identity = Identity {
            ca: ca.as_ref(),
            device: device.as_ref(),
            key,
        };
        identity.to_partition().unwrap()
    }

    fn compare(&self) {
        let made = self.made("esp_secure_cert.bin");
        let theirs = Partition::parse(&made).unwrap();
        let ours = match self.facts["kind"].as_str().unwrap() {
            "plain" => self.identity(Some(IdentityKey::Plain(&self.key()))),
            "rsa" => self.rsa(&theirs),
            "ecdsa" => self.ecdsa(&theirs),
            "rows" => rows(&theirs),
            "signed" => {
                self.signed();
                return;
            }
            other => panic!("{other}"),
        };
        assert!(ours.to_bytes() == made, "{}", self.folder.display());
        assert_eq!(ours, theirs);
    }

    /// The same from the same random vector, which is taken from the tool's partition.
    fn rsa(&self, theirs: &Partition) -> Partition {
        let parameters = theirs.find(Kind::DsCiphertext, 0).unwrap();
        let context = theirs.find(Kind::DsContext, 0).unwrap();
        let read = RsaContext::from_entries(parameters, context).unwrap();
        let hmac = Secret::new(self.input("hmac").unwrap());
        let (key, block, chip) = (self.key(), self.block(), self.chip());
        // The tool writes 4096 bits for ESP32-C5, which reads 3072: ours is what the tool writes for
        // a chip that does, and with the length of another chip the same as the tool's.
        let long = if chip == Chip::Esp32C5 {
            Chip::Esp32S3
        } else {
            chip
        };
        let ours = RsaContext::seal(&key, &hmac, block, long, read.iv).unwrap();
        if chip != long {
            let refused = key.kind() == KeyKind::Rsa(4096);
            let own = RsaContext::seal(&key, &hmac, block, chip, read.iv);
            assert_eq!(own.is_err(), refused);
            if let Ok(own) = own {
                let same = RsaContext::seal(&key, &hmac, block, Chip::Esp32C6, read.iv);
                assert_eq!(own, same.unwrap());
                assert_eq!(own.ciphertext.len(), 3 * 384 + 48);
            }
        }
        assert!(read.is_of(&key, &hmac, long));
        assert!(!read.is_of(&key, &Secret::new(vec![0; 32]), long));
        self.identity(Some(IdentityKey::Rsa(&ours)))
    }

    /// The tool's partition holds the private key besides; ours does not, and is the tool's when
    /// the key is put in.
    fn ecdsa(&self, theirs: &Partition) -> Partition {
        let (key, block) = (self.key(), self.block());
        let reference = EfuseReference::new(key.kind(), block, self.chip()).unwrap();
        let security = theirs.find(Kind::SecurityConfig, 0).unwrap();
        assert_eq!(EfuseReference::from_entry(security).unwrap(), reference);
        let ours = self.identity(Some(IdentityKey::Ecdsa(reference)));
        let entry = ours.find(Kind::PrivateKey, 0).unwrap();
        assert!(entry.content.is_empty());
        assert_eq!(entry.key_place(), Some(KeyPlace::Efuse));
        let mut with_key = Partition::new();
        for entry in ours.entries() {
            let mut entry = entry.clone();
            if entry.kind == Kind::Integrity {
                continue;
            }
            if entry.kind == Kind::PrivateKey {
                entry.content = key.entry_content().unwrap();
            }
            with_key.push(entry).unwrap();
        }
        with_key.push_integrity().unwrap();
        with_key
    }

    fn signed(&self) {
        let signed = Partition::parse(&self.made("esp_secure_cert_signed.bin")).unwrap();
        let ranges = signed.signatures().unwrap();
        let signers = self.facts["signers"].as_array().unwrap();
        assert_eq!(ranges.len(), signers.len());
        for (range, name) in ranges.iter().zip(signers) {
            let pem = String::from_utf8(self.input(name.as_str().unwrap()).unwrap()).unwrap();
            let key = PrivateKey::from_pem(&pem).unwrap();
            assert_eq!(range.public_key.digest(), key.public().digest());
        }
        assert!(signed.is_sealed());
    }
}

/// The rows of the driver's table, in their order.
fn rows(theirs: &Partition) -> Partition {
    let mut ours = Partition::new();
    let mut entries = theirs.entries().iter();
    for number in [5, 7, 51, 52, 55, 201] {
        for subtype in [0, 1, 16, 253] {
            let entry = entries.next().unwrap();
            assert_eq!(entry.content.len(), 1 + usize::from(subtype) / 2);
            let content = entry.content.expose().to_vec();
            let kind = Kind::from_number(number);
            ours.push(Entry::new(kind, subtype, content)).unwrap();
        }
    }
    ours.push_integrity().unwrap();
    ours
}

fn cases(root: &Path) -> Vec<Case> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    let read = |folder: PathBuf| {
        let facts = fs::read_to_string(folder.join("case.json")).unwrap();
        let facts = serde_json::from_str(&facts).unwrap();
        Case { folder, facts }
    };
    folders.into_iter().map(read).collect()
}

#[test]
fn partitions_of_every_kind_are_the_same_and_ours_are_read_by_the_tool() {
    let root = TempDir::new().unwrap();
    driver(&[root.path().to_str().unwrap()]);
    let cases = cases(root.path());
    assert_eq!(cases.len(), 44);
    for case in &cases {
        case.compare();
    }

    // An empty key entry is the one thing the tool never writes: its parser lists it all the same.
    let case = cases
        .iter()
        .find(|case| case.facts["kind"] == "ecdsa")
        .unwrap();
    let reference = EfuseReference::new(case.key().kind(), case.block(), case.chip()).unwrap();
    let ours = case.identity(Some(IdentityKey::Ecdsa(reference)));
    let file = root.path().join("ours.bin");
    fs::write(&file, ours.to_image().expose()).unwrap();
    driver(&["parse", file.to_str().unwrap()]);
    let parsed = root.path().join("parsed0/esp_secure_cert_parsed_data");
    let table = fs::read_to_string(parsed.join("esp_secure_cert_parsed.csv")).unwrap();
    for kind in ["CA_CERT", "DEV_CERT", "PRIV_KEY", "SEC_CFG"] {
        assert!(
            table.contains(&format!("ESP_SECURE_CERT_{kind}_TLV,0,")),
            "{table}"
        );
    }
    let raw = fs::read_to_string(parsed.join("tlv_entries_raw.txt")).unwrap();
    assert!(!raw.to_lowercase().contains("crc mismatch"), "{raw}");
}
