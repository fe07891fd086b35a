//! Keys: vectors of RFC 6979, digests as espsecure gives them, files in every form, redaction.

use p256::pkcs8::LineEnding;

use super::*;

/// RFC 6979, A.2.3, A.2.5 and A.2.6: message "sample" with SHA-256, for P-384 with SHA-384.
#[test]
fn ecdsa_signs_as_rfc_6979_says() {
    let expected = [
        "4b0b8ce98a92866a2820e20aa6b75b56382e0f9bfd5ecb55ccdb006926ea9565cbadc840829d8c384e06de1f1e381b85",
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46\
         99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
    ];
    for (algorithm, expected) in CURVES.into_iter().zip(expected) {
        let key = rfc_key(algorithm);
        let digest = algorithm.hash(b"sample");
        let signature = key.sign(&digest, &mut rng(0)).unwrap();
        assert_eq!(hex::encode(&signature), expected, "{algorithm}");
        key.public().verify(&digest, &signature).unwrap();
    }
}

#[test]
fn digests_are_what_espsecure_gives_for_the_same_keys() {
    let expected = [
        "717ccfdb0e28608255776740b689b55c2cb7c8d58b7fdf51731b5bd0c0794372",
        "facf22be390ca5d89617da7c2b7df897e470b9ce810865bee15f23960e6c22a3",
        "217ced46c13e374a26ddea2269cf87f45ef89c5822eb3faccc41e217e15f8b3f",
    ];
    for (algorithm, expected) in CURVES.into_iter().zip(expected) {
        let digest = rfc_key(algorithm).public().digest();
        assert_eq!(hex::encode(digest), expected, "{algorithm}");
    }
    let rsa = PublicKey::from_pem(RSA_PUBLIC).unwrap();
    assert_eq!(rsa.algorithm(), Algorithm::Rsa3072);
    assert_eq!(
        hex::encode(rsa.digest()),
        "0a980980107292d1f58d30d154de31a572da1ba3106aa2fccfaadb60b3316006"
    );
}

#[test]
fn a_generated_key_survives_its_pem() {
    for algorithm in Algorithm::ALL {
        let made = match algorithm {
            Algorithm::Rsa3072 => None,
            Algorithm::EcdsaP192 | Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => {
                Some(other_key(algorithm))
            }
        };
        let key = made.as_ref().unwrap_or_else(|| rsa_key());
        let pem = String::from_utf8(key.to_pem().expose().to_vec()).unwrap();
        let read = PrivateKey::from_pem(&pem).unwrap();
        assert_eq!(read.public(), key.public());
        assert_eq!(PublicKey::from_pem(&pem).unwrap(), *key.public());
        let public = key.public().to_pem();
        assert_eq!(PublicKey::from_pem(&public).unwrap(), *key.public());
        let refused = PrivateKey::from_pem(&public).unwrap_err();
        assert_eq!(refused.code(), "signing-key-public");
    }
}

#[test]
fn sec1_and_pkcs1_files_are_read_with_other_blocks_before_them() {
    let secret = p256::SecretKey::from_slice(&hex::decode(RFC_P256).unwrap()).unwrap();
    let sec1 = secret.to_sec1_pem(LineEnding::LF).unwrap();
    let with_parameters = format!(
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}",
        sec1.as_str()
    );
    let key = PrivateKey::from_pem(&with_parameters).unwrap();
    assert_eq!(key.public(), rfc_key(Algorithm::EcdsaP256).public());
    let der = secret.to_sec1_der().unwrap();
    assert_eq!(
        PrivateKey::from_der(&der).unwrap().public(),
        rfc_key(Algorithm::EcdsaP256).public()
    );
    let windows = sec1.replace('\n', "\r\n");
    assert!(PrivateKey::from_pem(&windows).is_ok());
}

#[test]
fn keys_that_cannot_be_used_are_refused_by_name() {
    let private = |text: &str| PrivateKey::from_pem(text).unwrap_err().code();
    assert_eq!(private(""), "signing-key-unreadable");
    assert_eq!(
        private("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
        "signing-key-unreadable"
    );
    assert_eq!(
        private("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----"),
        "signing-key-encrypted"
    );
    assert_eq!(
        private(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n\
             AA==\n-----END RSA PRIVATE KEY-----"
        ),
        "signing-key-encrypted"
    );
    let secp256k1 = "-----BEGIN PUBLIC KEY-----\n\
        MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEeb5mfvncu6xVoGKVzocLBwKb/NstzijZ\n\
        WfKBWxb4F5hIOtp3JqPEZV2k+/wOEQio/Re0SKaFVBmcR9CP+xDUuA==\n\
        -----END PUBLIC KEY-----\n";
    let refused = PublicKey::from_pem(secp256k1).unwrap_err();
    assert_eq!(refused.code(), "signing-key-kind");
    assert!(refused.to_string().contains("1.3.132.0.10"), "{refused}");
    let short = PublicKey::from_rsa_numbers(&[0xFF; 256], &[1, 0, 1]).unwrap_err();
    assert!(short.to_string().contains("RSA-2048"), "{short}");
    let even = PublicKey::from_rsa_numbers(&[0xFE; 384], &[1, 0, 1]).unwrap_err();
    assert_eq!(even.code(), "signing-key-unreadable");
}

#[test]
fn a_token_gives_a_key_by_its_numbers() {
    let key = rfc_key(Algorithm::EcdsaP384);
    let mut point = vec![4];
    point.extend(key.public().coordinates().unwrap());
    let built = PublicKey::from_point(Algorithm::EcdsaP384, &point).unwrap();
    assert_eq!(built, *key.public());
    point[9] ^= 1;
    assert!(PublicKey::from_point(Algorithm::EcdsaP384, &point).is_err());
}

#[test]
fn nothing_of_a_private_key_is_shown() {
    let key = rfc_key(Algorithm::EcdsaP256);
    let shown = format!("{key:?}");
    assert!(!shown.contains(&RFC_P256[..16]), "{shown}");
    let expected = format!(
        "PrivateKey(of PublicKey(ecdsa-p256 {}))",
        hex::encode(key.public().digest())
    );
    assert_eq!(shown, expected);
    let scalar = key.scalar().unwrap();
    assert_eq!(hex::encode(scalar.expose()), RFC_P256);
    assert_eq!(format!("{scalar:?}"), "Secret(32 bytes)");
}

#[test]
fn algorithms_are_named_the_same_in_text_and_json() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.name().parse::<Algorithm>().unwrap(), algorithm);
        let json = serde_json::to_string(&algorithm).unwrap();
        assert_eq!(json, format!("\"{algorithm}\""));
    }
    assert!("rsa-2048".parse::<Algorithm>().is_err());
}

const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAskHx6WoPStF3KsB510lV
HB1Ops6j4SwjSaCeO/Yy9MwMyMorvFgPci5c2bBpT4t0uXwz+lAiPiAHl4eoRki8
K2hXR4/Tzv4W2+adOKfnkZDTPg/tH7Lrt/+9z5rjjzg/o/fbpAdsqqdLsCOmxNd/
lMpUVozafeO0xATR3vTJYkHOmJkV9adaX4IoSA8rBPqRV8+LTaDEC9iSEmcYltIb
t5Y/eB8kEhQkT/9upE45glGTGf2MnfEcvE1LXR3lr97PeVoo42l8Ys1t28O8YMBb
/DXGJsm0UoGGuhmvgWZ8dczt9xpk0yiDHZHYZ0XIQjOva8Wn3RK7QC0IkanKZfls
arMsMsbEWevk9i9As7+r+XjL8xzpOG0l9EA9p1NOVtUZwa67WrUsKUT4u3QVfJLg
j/p8hN1avaObIkP5YxurrlYx9UWSZHJef+hokpYRFFlc88gxmzNaUgHLg2I+xzag
MlG7cDB7CADvgoceQ2qVqtEnS941GBR+u6vNlDPIWPjLAgMBAAE=
-----END PUBLIC KEY-----
";
