//! Unmodified espsecure makes the same bytes as we do, accepts what we sign, and its signatures are accepted by us.

use std::path::{Path, PathBuf};

use rand_core::{Rng, UnwrapErr};
use station_esp::chip::Chip;
use station_esp::loader;
use station_esp::secret::Secret;
use station_esp::secure::encryption::{FlashKey, Scheme, decrypt, encrypt};
use station_esp::secure::signature::{
    Algorithm, PrivateKey, PublicKey, SignatureBlock, Signer, append, sign, v1, verify, verify_with,
};
use tempfile::TempDir;

use crate::support::{Ran, stranger};

/// A folder in which espsecure reads and writes.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.at(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.at(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.get(name)).unwrap()
    }

    /// Runs espsecure; arguments that begin with `@` are names in the folder.
    fn espsecure(&self, arguments: &str) -> Ran {
        let arguments: Vec<String> = arguments
            .split_whitespace()
            .map(|word| match word.strip_prefix('@') {
                Some(name) => self.at(name).display().to_string(),
                None => word.to_string(),
            })
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        stranger("espsecure", &arguments)
    }

    fn put_private(&self, name: &str, key: &PrivateKey) {
        self.put(name, key.to_pem().expose());
    }
}

fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng().fill_bytes(&mut bytes);
    bytes
}

fn made(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::generate(algorithm, &mut rng()).unwrap()
}

/// What espsecure calls it.
fn scheme(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Rsa3072 => "rsa3072",
        Algorithm::EcdsaP192 => "ecdsa192",
        Algorithm::EcdsaP256 => "ecdsa256",
        Algorithm::EcdsaP384 => "ecdsa384",
    }
}

#[test]
fn xts_ciphertext_is_the_same_for_every_key_size_and_place() {
    let bench = Bench::new();
    for (key, address, length) in [
        (16, 0x1_0050, 0x1230),
        (32, 0x0, 0x20_0010),
        (32, 0x1070, 16),
        (64, 0xFF_0010, 0x1000),
    ] {
        let (key, plain) = (random(key), random(length));
        bench.put("key", &key);
        bench.put("plain", &plain);
        bench
            .espsecure(&format!(
                "encrypt-flash-data -x -k @key -a {address} -o @cipher @plain"
            ))
            .expect(0);
        let ours = FlashKey::new(Scheme::Xts, Secret::new(key)).unwrap();
        let cipher = encrypt(&ours, address, &plain).unwrap();
        assert!(cipher == bench.get("cipher"), "{ours:?} at {address:#x}");
        assert!(decrypt(&ours, address, &cipher).unwrap() == plain);
    }
    bench
        .espsecure(&format!(
            "decrypt-flash-data -x -k @key -a {} -o @again @cipher",
            0xFF_0010
        ))
        .expect(0);
    assert_eq!(bench.get("again"), bench.get("plain"));
}

#[test]
fn legacy_ciphertext_is_the_same_for_every_key_size_and_configuration() {
    let bench = Bench::new();
    for (key, crypt_config, address, length) in [
        (32, 15, 0x1000, 0x1_0010),
        (32, 6, 0x00AB_CD10, 0x150),
        (24, 15, 0x00FF_F000, 0x1000),
        (24, 9, 0x20, 32),
    ] {
        let (key, plain) = (random(key), random(length));
        bench.put("key", &key);
        bench.put("plain", &plain);
        bench
            .espsecure(&format!(
                "encrypt-flash-data --flash-crypt-conf {crypt_config} -k @key -a {address} \
                 -o @cipher @plain"
            ))
            .expect(0);
        let ours = FlashKey::new(Scheme::Legacy { crypt_config }, Secret::new(key)).unwrap();
        let cipher = encrypt(&ours, address, &plain).unwrap();
        assert!(cipher == bench.get("cipher"), "{ours:?} at {address:#x}");
        assert!(decrypt(&ours, address, &cipher).unwrap() == plain);
    }
    bench
        .espsecure("decrypt-flash-data --flash-crypt-conf 9 -k @key -a 32 -o @again @cipher")
        .expect(0);
    assert_eq!(bench.get("again"), bench.get("plain"));
}

fn is_alignment(ran: &Ran) -> bool {
    let said = format!("{} {}", ran.out, ran.err);
    let said: Vec<&str> = said.split_whitespace().collect();
    ran.code != 0 && said.join(" ").contains("must be a multiple of 16")
}

#[test]
fn unaligned_places_are_refused_by_both() {
    let bench = Bench::new();
    bench.put("key", [7; 32]);
    bench.put("plain", [1; 24]);
    let ours = FlashKey::new(Scheme::Xts, Secret::new(vec![7; 32])).unwrap();
    let theirs = bench.espsecure("encrypt-flash-data -x -k @key -a 4096 -o @cipher @plain");
    assert!(is_alignment(&theirs), "{theirs:?}");
    assert!(encrypt(&ours, 4096, &[1; 24]).is_err());
    bench.put("plain", [1; 32]);
    let theirs = bench.espsecure("encrypt-flash-data -x -k @key -a 4104 -o @cipher @plain");
    assert!(is_alignment(&theirs), "{theirs:?}");
    assert!(encrypt(&ours, 4104, &[1; 32]).is_err());
}

/// The digest that `signature-info-v2` prints for a block.
fn printed_digest(out: &str, number: usize) -> String {
    let label = format!("Public key digest for block {number}: ");
    let at = out.find(&label).unwrap_or_else(|| panic!("{out}")) + label.len();
    let digest: String = out[at..]
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .take(64)
        .collect();
    digest
}

fn is_verified(ran: &Ran, number: usize) -> bool {
    let expected = format!("Signature block {number} verification successful");
    ran.code == 0 && ran.out.contains(&expected)
}

#[test]
fn espsecure_accepts_our_keys_digests_and_signatures() {
    let bench = Bench::new();
    for algorithm in Algorithm::ALL {
        let key = made(algorithm);
        bench.put_private("key.pem", &key);
        bench.put("public.pem", key.public().to_pem());
        bench
            .espsecure("digest-sbv2-public-key --keyfile @key.pem -o @digest")
            .expect(0);
        assert_eq!(bench.get("digest"), key.public().digest(), "{algorithm}");
        let image = sign(&random(9000), &[&key], &mut rng()).unwrap();
        bench.put("signed", &image);
        let ran = bench.espsecure("verify-signature -v 2 -k @public.pem @signed");
        assert!(is_verified(&ran, 0), "{algorithm}: {ran:?}");
        let ran = bench.espsecure("signature-info-v2 @signed").expect(0);
        assert_eq!(
            printed_digest(&ran.out, 0),
            hex::encode(key.public().digest())
        );
    }
}

#[test]
fn we_accept_the_keys_and_signatures_of_espsecure() {
    let bench = Bench::new();
    let content = random(9000);
    bench.put("content", &content);
    for algorithm in Algorithm::ALL {
        let scheme = scheme(algorithm);
        bench
            .espsecure(&format!(
                "generate-signing-key -v 2 -s {scheme} @{scheme}.pem"
            ))
            .expect(0);
        bench
            .espsecure(&format!(
                "sign-data -v 2 -k @{scheme}.pem -o @signed @content"
            ))
            .expect(0);
        let key = PrivateKey::from_pem(&bench.text(&format!("{scheme}.pem"))).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let theirs = bench.get("signed");
        let keys = [key.public().clone()];
        assert_eq!(verify_with(&theirs, &keys).unwrap(), [0]);
        let ours = sign(&content, &[&key], &mut rng()).unwrap();
        assert!(ours.len() == theirs.len() && ours[..12288] == theirs[..12288]);
        let rewritten = verify(&theirs).unwrap()[0].to_bytes();
        assert_eq!(rewritten, theirs[12288..12288 + rewritten.len()]);
        let mut broken = theirs.clone();
        broken[4000] ^= 1;
        assert!(verify(&broken).is_err());
    }
}

#[test]
fn images_with_several_signatures_go_both_ways() {
    let bench = Bench::new();
    let keys = [
        made(Algorithm::Rsa3072),
        made(Algorithm::Rsa3072),
        made(Algorithm::Rsa3072),
    ];
    for (number, key) in keys.iter().enumerate() {
        bench.put_private(&format!("{number}.pem"), key);
    }
    bench.put("content", random(5000));
    bench
        .espsecure("sign-data -v 2 -k @0.pem -k @1.pem -o @two @content")
        .expect(0);
    bench
        .espsecure("sign-data -v 2 -a -k @2.pem -o @three @two")
        .expect(0);
    let signed_by_all = |image: &[u8]| {
        let blocks: Vec<SignatureBlock> = verify(image).unwrap();
        let signers: Vec<&PublicKey> = blocks.iter().map(SignatureBlock::public_key).collect();
        assert_eq!(signers, keys.each_ref().map(PrivateKey::public));
    };
    signed_by_all(&bench.get("three"));
    let ours = append(&bench.get("two"), &[&keys[2]], &mut rng()).unwrap();
    signed_by_all(&ours);
    bench.put("ours", &ours);
    let ran = bench.espsecure("verify-signature -v 2 -k @2.pem @ours");
    assert!(is_verified(&ran, 2), "{ran:?}");
    let signers = [&keys[0] as &dyn Signer, &keys[1]];
    bench.put(
        "ours",
        sign(&bench.get("content"), &signers, &mut rng()).unwrap(),
    );
    bench
        .espsecure("sign-data -v 2 -a -k @2.pem -o @appended @ours")
        .expect(0);
    signed_by_all(&bench.get("appended"));
}

#[test]
fn public_keys_that_espsecure_extracts_are_the_same() {
    let bench = Bench::new();
    for algorithm in [Algorithm::Rsa3072, Algorithm::EcdsaP384] {
        let key = made(algorithm);
        bench.put_private("key.pem", &key);
        bench
            .espsecure("extract-public-key -v 2 -k @key.pem @public.pem")
            .expect(0);
        assert_eq!(bench.text("public.pem"), key.public().to_pem());
        assert_eq!(
            PublicKey::from_pem(&bench.text("public.pem")).unwrap(),
            *key.public()
        );
    }
}

#[test]
fn version_one_signatures_and_keys_go_both_ways() {
    let bench = Bench::new();
    bench
        .espsecure("generate-signing-key -v 1 @key.pem")
        .expect(0);
    let key = PrivateKey::from_pem(&bench.text("key.pem")).unwrap();
    let content = random(4321);
    bench.put("content", &content);
    bench
        .espsecure("sign-data -v 1 -k @key.pem -o @theirs @content")
        .expect(0);
    assert_eq!(
        v1::verify(&bench.get("theirs"), key.public()).unwrap(),
        content
    );
    bench.put("ours", v1::sign(&content, &key, &mut rng()).unwrap());
    let ran = bench
        .espsecure("verify-signature -v 1 -k @key.pem @ours")
        .expect(0);
    assert!(ran.out.contains("Signature is valid"), "{}", ran.out);
    bench
        .espsecure("extract-public-key -v 1 -k @key.pem @public")
        .expect(0);
    assert_eq!(
        bench.get("public"),
        v1::public_key_bytes(key.public()).unwrap()
    );
    for (bits, length) in [(256, 32), (192, 24)] {
        bench
            .espsecure(&format!(
                "digest-private-key -k @key.pem -l {bits} @digest{bits}"
            ))
            .expect(0);
        let ours = v1::digest_private_key(&key, length).unwrap();
        assert!(bench.get(&format!("digest{bits}")) == ours.expose());
    }
}

#[test]
fn bootloader_digests_are_the_same() {
    let bench = Bench::new();
    let iv: [u8; v1::IV_LENGTH] = random(v1::IV_LENGTH).try_into().unwrap();
    bench.put("iv", iv);
    let with_hash = loader::bootloader(Chip::Esp32, 40).unwrap().to_vec();
    let mut padded = with_hash.clone();
    padded.extend([0xA5; 77]);
    for (key, bootloader) in [(32, &with_hash), (24, &with_hash), (32, &padded)] {
        let key = random(key);
        bench.put("key", &key);
        bench.put("bootloader", bootloader);
        bench
            .espsecure("digest-secure-bootloader -k @key --iv @iv -o @digest @bootloader")
            .expect(0);
        let ours = v1::digest_bootloader(&Secret::new(key), bootloader, &iv).unwrap();
        assert!(ours == bench.get("digest"), "{} bytes", bootloader.len());
    }
}

#[test]
fn neither_takes_keys_that_the_chips_cannot_use() {
    let bench = Bench::new();
    let key = made(Algorithm::EcdsaP384);
    bench.put_private("key.pem", &key);
    bench.put("content", [1; 4096]);
    let theirs = bench.espsecure("sign-data -v 1 -k @key.pem -o @signed @content");
    assert_ne!(theirs.code, 0, "{theirs:?}");
    assert!(v1::sign(&[1; 4096], &key, &mut rng()).is_err());
    assert!(!Path::new(&bench.at("signed")).exists());
}
