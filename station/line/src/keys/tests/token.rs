//! A real PKCS#11 module, SoftHSM 2, in a folder of its own: what it signs is accepted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use station_esp::secure::signature::{Algorithm, PrivateKey, Signer as _, sign, verify};

use crate::keys::pkcs11::{PinSource, TokenKey, TokenSigner};
use crate::keys::system_random;

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// Runs this test again in a process whose environment names a fresh token: SoftHSM reads it once.
#[test]
fn a_token_signs_firmware_and_never_shows_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("softhsm2.conf");
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    fs::write(
        &conf,
        format!("directories.tokendir = {}\n", tokens.display()),
    )
    .unwrap();
    let tool = |arguments: &[&str]| {
        let done = Command::new("softhsm2-util")
            .args(arguments)
            .env("SOFTHSM2_CONF", &conf)
            .output()
            .expect("softhsm2 is installed, see `tests/run`");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "softhsm2-util {arguments:?}: {said}");
    };
    for label in ["line", "other"] {
        let pins = ["--pin", "4711", "--so-pin", "0815"];
        tool(
            &[
                &["--init-token", "--free", "--label", label],
                pins.as_slice(),
            ]
            .concat(),
        );
    }
    let random = &mut system_random().unwrap();
    for (number, algorithm) in Algorithm::ALL.into_iter().enumerate() {
        let key = PrivateKey::generate(algorithm, random).unwrap();
        let file = folder.path().join(format!("{algorithm}.pem"));
        fs::write(&file, key.to_pem().expose()).unwrap();
        fs::write(file.with_extension("pub"), key.public().to_pem()).unwrap();
        let (file, id) = (file.display().to_string(), format!("0{number}"));
        tool(&[
            "--import",
            &file,
            "--token",
            "line",
            "--label",
            algorithm.name(),
            "--id",
            &id,
            "--pin",
            "4711",
        ]);
    }
    fs::write(folder.path().join("pin"), "4711\n").unwrap();
    let inside = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "keys::tests::token::inside_a_process_with_a_token",
        ])
        .env("SOFTHSM2_CONF", &conf)
        .env("STATION_TEST_TOKEN", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stdout).into_owned();
    assert!(inside.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

fn module() -> PathBuf {
    let found = MODULES.iter().map(Path::new).find(|path| path.exists());
    found
        .expect("softhsm2 is installed, see `tests/run`")
        .to_path_buf()
}

#[test]
#[ignore = "started by the test above, with a token to use"]
fn inside_a_process_with_a_token() {
    let folder = PathBuf::from(std::env::var_os("STATION_TEST_TOKEN").unwrap());
    let wanted = |algorithm: Algorithm| TokenKey {
        module: module(),
        token: Some("line".into()),
        key: algorithm.name().into(),
        pin: Some(PinSource::File(folder.join("pin"))),
    };
    let random = &mut system_random().unwrap();
    // Before anybody is logged in: a wrong PIN, a missing one, a wrong token.
    let refused = |change: fn(&mut TokenKey)| {
        let mut key = wanted(Algorithm::Rsa3072);
        change(&mut key);
        let error = TokenSigner::open(&key).unwrap_err();
        assert_eq!(error.code(), "key-token");
        error.to_string()
    };
    let none = |key: &mut TokenKey| key.pin = Some(PinSource::Env("STATION_TEST_NO_PIN".into()));
    assert!(refused(none).contains("no PIN"));
    let wrong = |key: &mut TokenKey| {
        key.pin = Some(PinSource::File("/proc/sys/kernel/ostype".into()));
    };
    assert!(!refused(wrong).contains("4711"));
    assert!(refused(|key| key.token = Some("none".into())).contains("0 tokens"));
    assert!(refused(|key| key.token = None).contains("2 tokens"));
    assert!(refused(|key| key.module = "/nowhere.so".into()).contains("/nowhere.so"));
    assert!(refused(|key| key.module = "/bin/true".into()).contains("module"));
    assert!(refused(|key| key.key = "none".into()).contains("0 keys"));
    for algorithm in Algorithm::ALL {
        let signer = TokenSigner::open(&wanted(algorithm)).unwrap();
        let pem = fs::read_to_string(folder.join(format!("{algorithm}.pub"))).unwrap();
        assert_eq!(signer.public_key().to_pem(), pem);
        let digest = algorithm.hash(b"firmware");
        let signature = signer.sign(&digest, random).unwrap();
        signer.public_key().verify(&digest, &signature).unwrap();
        let image = sign(&[0xE9; 8192], &[&signer], random).unwrap();
        assert_eq!(verify(&image).unwrap().len(), 1);
        let shown = format!("{signer:?}");
        assert!(shown.len() < 200 && !shown.contains("4711"), "{shown}");
    }
}
