//! One entry function for every parser that reads what others wrote.
//!
//! Invariants: an entry never panics unless the parser broke a promise; its input is the parser's
//! own format, so that every file of the corpus is an ordinary file; where a checksum would turn
//! mutations away, the entry also tries the input with its checksums made right; it answers whether
//! the input was accepted.

mod firmware;
mod flash;
mod identity;
mod line;
mod repair;
mod wire;

/// A parser and what it may take.
pub struct Target {
    /// Its name, which is also that of its folder in the corpus.
    pub name: &'static str,
    /// Feeds it one input and checks what must hold of the outcome.
    pub run: fn(&[u8]) -> bool,
    /// Longest input that is worth trying.
    pub longest: usize,
    /// Bytes of memory it may hold at once beyond a multiple of the input.
    pub memory: usize,
}

impl Target {
    const fn new(name: &'static str, run: fn(&[u8]) -> bool, longest: usize) -> Self {
        Self {
            name,
            run,
            longest,
            memory: 1 << 20,
        }
    }

    /// With this much memory beyond the input.
    const fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target::new("slip", wire::slip, 2048),
    Target::new("request", wire::request, 1024),
    Target::new("response", wire::response, 256),
    Target::new("security-info", wire::security_info, 64),
    // Compressing takes its windows; ten of them.
    Target::new("image", firmware::image, 4096).memory(8 << 20),
    // Three pages of 64 KiB for each of sixteen parts, and twice as the image is put together.
    Target::new("elf", firmware::elf, 4096).memory(16 << 20),
    Target::new("sizes", firmware::sizes, 4096).memory(2 << 20),
    Target::new("hex", firmware::hex, 4096),
    Target::new("uf2", firmware::uf2, 4096),
    Target::new("flasher-args", firmware::flasher_args, 4096),
    Target::new("signature", firmware::signature, 4096).memory(4 << 20),
    Target::new("partition", flash::partition, 3072),
    Target::new("partition-csv", flash::partition_csv, 2048),
    Target::new("address", flash::address, 128),
    Target::new("otadata", flash::otadata, 8192),
    Target::new("nvs", flash::nvs, 12288).memory(2 << 20),
    Target::new("nvs-encrypted", flash::nvs_encrypted, 12288).memory(2 << 20),
    // A table of few words can be an image of many pages.
    Target::new("nvs-csv", flash::nvs_csv, 2048).memory(4 << 20),
    Target::new("nvs-keys", flash::nvs_keys, 4096),
    Target::new("cert", identity::cert, 8192),
    Target::new("certificate", identity::certificate, 4096),
    Target::new("key", identity::key, 4096).memory(4 << 20),
    Target::new("ota", identity::ota, 8192),
    Target::new("manifest", identity::manifest, 2048),
    Target::new("records", identity::records, 2048),
    Target::new("recipe", line::recipe, 8192).memory(16 << 20),
    Target::new("policy", line::policy, 2048).memory(4 << 20),
    Target::new("units", line::units, 2048),
    Target::new("texts", line::texts, 256),
];
