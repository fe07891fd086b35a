//! No key leaves a trace: the journal's files, events as JSON, plans in words, debug output, errors.

use std::fs;

use chrono::DateTime;
use station_esp::chip::{Chip, MacAddress, Revision};
use station_esp::efuse::EfuseImage;
use station_esp::efuse::plan::{BlockWish, BurnPlan, FlashContent, KeyWish, Slot, Snapshot, Wish};
use station_esp::secret::Secret;

use super::assert_hidden;
use crate::approval::{Grant, Subject, UseApproval};
use crate::event::{BurnVerdict, Event, EventKind, Mac, ReconcileVerdict};
use crate::journal::{BurnRow, Journal, OpenOptions};
use crate::keys::{
    Custody, KeyError, KeyKind, KeyName, KeyOrder, KeyOwner, KeySource, KeyStore, KeyStoreOptions,
};
use crate::release::TrustedKeys;

fn snapshot(mac: MacAddress) -> Snapshot {
    let (chip, revision) = (Chip::Esp32S3, Revision { major: 0, minor: 2 });
    let mut fuses = EfuseImage::new(chip);
    fuses.set_mac(mac).unwrap();
    Snapshot {
        chip,
        revision,
        mac,
        crystal_mhz: 40,
        fuses,
        errors: Vec::new(),
    }
}

fn key_wish(slot: &str, purpose: &str, key: &Secret) -> KeyWish {
    KeyWish {
        slot: Slot::Named(slot.into()),
        purpose: purpose.into(),
        key: key.clone(),
        read_protect: None,
        write_protect: None,
    }
}

/// Everything a station keeps and shows of one unit, gathered as bytes.
struct Traces {
    keys: Vec<Secret>,
    shown: Vec<(String, Vec<u8>)>,
}

impl Traces {
    fn show(&mut self, what: &str, text: String) {
        self.shown.push((what.to_owned(), text.into_bytes()));
    }

    fn assert_clean(&self) {
        assert!(self.shown.len() > 20);
        for (what, bytes) in &self.shown {
            for key in &self.keys {
                assert_hidden(key, bytes, what);
            }
        }
    }
}

fn obtain(store: &KeyStore, mac: &Mac, name: &str, kind: KeyKind, traces: &mut Traces) -> Secret {
    let order = KeyOrder {
        name: KeyName::parse(name).unwrap(),
        owner: KeyOwner::Unit(mac.clone()),
        kind,
        custody: Custody::Escrow,
        purpose: None,
        source: KeySource::Generate,
    };
    let (record, secret) = store.obtain(&order, DateTime::UNIX_EPOCH).unwrap();
    traces.show("a record", format!("{record:?} {order:?} {secret:?}"));
    traces.keys.push(secret.clone());
    secret
}

fn sealed(mac: &Mac, name: &str, secret: &Secret) -> EventKind {
    EventKind::KeySealed {
        attempt: None,
        key: name.into(),
        mac: Some(mac.clone()),
        key_kind: "xts-aes256".into(),
        purpose: None,
        fingerprint: secret.fingerprint(),
        custody: Custody::Escrow,
    }
}

/// Burns a plan as far as the record goes; the last pulse is left to be reconciled.
async fn record_burns(journal: &Journal, mac: &Mac, plan: &BurnPlan) {
    let at = DateTime::UNIX_EPOCH;
    let records = plan.records();
    for pulse in &records {
        let intended = EventKind::BurnIntended {
            attempt: None,
            mac: mac.clone(),
            chip: "esp32s3".into(),
            approval: None,
            pulse: pulse.clone(),
        };
        journal.note(at, intended).await.unwrap();
        let (plan, number) = (pulse.plan.clone(), pulse.number);
        let ended = if pulse.number == pulse.of {
            EventKind::BurnReconciled {
                attempt: None,
                mac: mac.clone(),
                plan,
                number,
                verdict: ReconcileVerdict::Partly,
                detail: None,
            }
        } else {
            EventKind::BurnFinished {
                attempt: None,
                mac: mac.clone(),
                plan,
                number,
                verdict: BurnVerdict::Done,
                tries: 1,
                before: pulse.before.clone(),
                after: pulse.after.clone(),
                detail: None,
            }
        };
        journal.note(at, ended).await.unwrap();
    }
}

async fn approve(journal: &Journal, plan: &BurnPlan) {
    let at = DateTime::UNIX_EPOCH;
    let subject = Subject::Burn(plan.digest_hex());
    let valid = subject.default_validity();
    let (by, operation) = ("anna".to_owned(), "efuse burn".to_owned());
    let grant = Grant {
        at,
        subject: subject.clone(),
        by: by.clone(),
        valid,
    };
    let approval = Some(journal.grant(grant).await.unwrap().id);
    let wanted = UseApproval {
        at,
        run: None,
        elapsed_us: 0,
        approval,
        subject,
        by,
        operation,
        trusted: TrustedKeys::default(),
    };
    journal.use_approval(wanted).await.unwrap();
}

fn show_plan(plan: &BurnPlan, wish: &Wish, traces: &mut Traces) {
    traces.show("a wish", format!("{wish:?} {wish:#?}"));
    traces.show("a plan", format!("{plan:?} {plan:#?}"));
    traces.show("its words", plan.describe());
    traces.show("its view", serde_json::to_string(&plan.view()).unwrap());
    traces.show("its digest", plan.digest_hex());
    for pulse in plan.pulses() {
        traces.show("a pulse", format!("{pulse:?}"));
    }
    // A wish that cannot be: the refusals must not quote it either.
    let mut impossible = wish.clone();
    for key in &mut impossible.keys {
        key.slot = Slot::Named("BLOCK_KEY9".into());
    }
    let refusals = BurnPlan::make(plan.snapshot(), &impossible, &[]).unwrap_err();
    traces.show("refusals", format!("{refusals} {refusals:?}"));
}

fn show_errors(store: &KeyStore, mac: &Mac, traces: &mut Traces) {
    let owner = KeyOwner::Unit(mac.clone());
    let name = KeyName::parse("flash").unwrap();
    let mut errors: Vec<KeyError> = Vec::new();
    for (kind, bytes) in [
        (KeyKind::XtsAes256, traces.keys[1].expose().repeat(2)),
        (KeyKind::Hmac, traces.keys[1].expose().to_vec()),
        (KeyKind::Rsa3072, traces.keys[1].expose().to_vec()),
        (KeyKind::EcdsaP256, traces.keys[0].expose().to_vec()),
    ] {
        let order = KeyOrder {
            name: name.clone(),
            owner: owner.clone(),
            kind,
            custody: Custody::Escrow,
            purpose: None,
            source: KeySource::Given(Secret::new(bytes)),
        };
        errors.push(store.obtain(&order, DateTime::UNIX_EPOCH).unwrap_err());
    }
    let sealed = store
        .folder()
        .join("units")
        .join(mac.as_str().replace(':', ""));
    fs::write(sealed.join("flash.age"), traces.keys[0].expose()).unwrap();
    errors.push(store.reveal(&name, &owner).unwrap_err());
    fs::write(sealed.join("flash.json"), traces.keys[0].expose()).unwrap();
    errors.push(store.reveal(&name, &owner).unwrap_err());
    for error in errors {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let text = format!("{error} {error:?} {source:?} {:?}", error.hint());
        traces.show(error.code(), text);
    }
}

#[tokio::test]
async fn no_key_stands_in_the_record_of_a_burn_nor_in_anything_that_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        KeyStore::open_with(folder.path().join("keys"), KeyStoreOptions::simulation(7)).unwrap();
    let path = folder.path().join("line.db");
    let at = DateTime::UNIX_EPOCH;
    let journal = Journal::open(&path, &OpenOptions::simulation(at)).unwrap();
    let mut traces = Traces {
        keys: Vec::new(),
        shown: Vec::new(),
    };
    let address: MacAddress = "7c:df:a1:00:00:01".parse().unwrap();
    let mac = Mac::new(address.to_string());
    let flash = obtain(&store, &mac, "flash", KeyKind::XtsAes256, &mut traces);
    let hmac = obtain(&store, &mac, "hmac", KeyKind::Hmac, &mut traces);
    for (name, key) in [("flash", &flash), ("hmac", &hmac)] {
        journal.note(at, sealed(&mac, name, key)).await.unwrap();
    }
    let wish = Wish {
        keys: vec![
            key_wish("BLOCK_KEY0", "XTS_AES_256_KEY", &flash),
            key_wish("BLOCK_KEY2", "HMAC_UP", &hmac),
        ],
        blocks: vec![BlockWish {
            block: "BLOCK_USR_DATA".into(),
            offset: 0,
            bytes: Secret::new(b"unit 7, which is public".to_vec()),
        }],
        content: FlashContent::default(),
        ..Wish::default()
    };
    let plan = BurnPlan::make(&snapshot(address), &wish, &[]).unwrap();
    assert!(plan.pulses().len() >= 4);
    show_plan(&plan, &wish, &mut traces);
    approve(&journal, &plan).await;
    record_burns(&journal, &mac, &plan).await;
    let burns: Vec<BurnRow> = journal.burns_of(&mac).await.unwrap();
    traces.show(
        "the burns",
        format!("{burns:?} {}", serde_json::to_string(&burns).unwrap()),
    );
    show_errors(&store, &mac, &mut traces);
    let reader = journal.reader().unwrap();
    let events: Vec<Event> = reader
        .events_since(crate::event::Seq(0), None, 999)
        .unwrap();
    assert!(events.len() > 10);
    for event in &events {
        traces.show("an event", format!("{event:?}"));
        traces.show("its JSON", serde_json::to_string(event).unwrap());
    }
    traces.show("keys", format!("{:?}", reader.keys(None, 99).unwrap()));
    traces.show("the rest", format!("{store:?} {journal:?} {reader:?}"));
    // While it is open: the database, its write-ahead log and its index.
    for name in ["line.db", "line.db-wal", "line.db-shm"] {
        let bytes = fs::read(folder.path().join(name)).unwrap();
        assert!(!bytes.is_empty(), "{name}");
        traces.shown.push((name.to_owned(), bytes));
    }
    traces.assert_clean();
}

#[test]
fn a_key_would_be_found_in_every_form() {
    let key = Secret::new((100..132).collect());
    let mut backwards = key.expose().to_vec();
    backwards.reverse();
    for bytes in [key.expose(), &backwards] {
        for form in [
            bytes.to_vec(),
            hex::encode(bytes).into_bytes(),
            hex::encode_upper(bytes).into_bytes(),
            format!("{bytes:?}").into_bytes(),
        ] {
            let hidden = [b"before ".as_slice(), &form, b" after"].concat();
            let look = || assert_hidden(&key, &hidden, "a test");
            assert!(std::panic::catch_unwind(look).is_err());
        }
    }
    let base64 = b"ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=";
    assert!(std::panic::catch_unwind(|| assert_hidden(&key, base64, "a test")).is_err());
    assert_hidden(&key, b"nothing of it", "a test");
}
