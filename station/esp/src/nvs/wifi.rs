//! Entries that go with a Wi-Fi configuration, which firmware expects beside the ones named.
//!
//! Facts observed at esp-idf-nvs-partition-gen 0.3.0, whatever the namespace: behind the first
//! `sta.ssid` or `sta.pswd` of a table stand `sta.apinfo` of 140 bytes 0xFF, `sta.pmk` of 32 zero
//! bytes and `sta.apsw` of two; as soon as `ap.ssid`, `ap.passwd` and an `ap.authmode` other than 0
//! are known, before the entry that completes them stands `ap.pmk_info` of 100 zero bytes and the
//! pairwise master key: PBKDF2-HMAC-SHA1 of the password, salted with the SSID, 4096 rounds.

use sha1::Sha1;

use super::Value;

/// The key of what is computed from name and password of an access point.
pub(super) const HASH: &str = "ap.pmk_info";

/// Whether [`HASH`] is computed from the value of this key.
pub(super) fn is_hashed(key: &str) -> bool {
    matches!(key, "ap.ssid" | "ap.passwd")
}

/// Whether this key is one that others can bring with them.
pub(super) fn is_added(key: &str) -> bool {
    matches!(key, HASH | "sta.apinfo" | "sta.pmk" | "sta.apsw")
}

/// Whether a row of this key can bring others with it.
pub(super) fn adds(key: &str) -> bool {
    is_hashed(key) || matches!(key, "ap.authmode" | "sta.ssid" | "sta.pswd")
}

/// Rounds of the key derivation, from IEEE 802.11.
const ROUNDS: u32 = 4096;

/// What the rows read so far said about Wi-Fi.
#[derive(Default)]
pub(super) struct Wifi {
    ssid: String,
    password: String,
    authenticates: bool,
    station_done: bool,
}

impl Wifi {
    /// What stands before the entry with this key and value.
    pub(super) fn before(&mut self, key: &str, value: &str) -> Option<(&'static str, Value)> {
        match key {
            "ap.ssid" => value.clone_into(&mut self.ssid),
            "ap.passwd" => value.clone_into(&mut self.password),
            "ap.authmode" if value != "0" => self.authenticates = !value.is_empty(),
            "ap.authmode" => {}
            _ => return None,
        }
        if self.ssid.is_empty() || self.password.is_empty() || !self.authenticates {
            return None;
        }
        let mut bytes = vec![0; 100];
        let key = pbkdf2::pbkdf2_hmac_array::<Sha1, 32>(
            self.password.as_bytes(),
            self.ssid.as_bytes(),
            ROUNDS,
        );
        bytes.extend_from_slice(&key);
        Some((HASH, Value::Blob(bytes)))
    }

    /// What stands behind the entry with this key.
    pub(super) fn behind(&mut self, key: &str) -> Vec<(&'static str, Value)> {
        if self.station_done || !matches!(key, "sta.ssid" | "sta.pswd") {
            return Vec::new();
        }
        self.station_done = true;
        vec![
            ("sta.apinfo", Value::Blob(vec![0xFF; 140])),
            ("sta.pmk", Value::Blob(vec![0; 32])),
            ("sta.apsw", Value::Blob(vec![0; 2])),
        ]
    }
}
