//! Signing keys that stay in a token (smart card, HSM) and are reached through PKCS#11.
//!
//! Invariants: the private key never leaves the token; the PIN is read when it is needed, wiped
//! afterwards and never shown; one name must lead to exactly one token and one key. A module is code
//! of its maker that runs inside this process: load only what you trust.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use age::secrecy::SecretString;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use rand_chacha::rand_core::CryptoRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station_esp::secure::signature::{Algorithm, PublicKey, SignatureError, Signer};
use zeroize::Zeroizing;

use super::error::KeyError;

/// Largest file a PIN is read from, in bytes.
const MAX_PIN: u64 = 1024;

/// Length of the salt secure boot wants in an RSA-PSS signature, in bytes.
const SALT: u64 = 32;

/// Where a PIN comes from; never the PIN itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PinSource {
    /// This environment variable.
    Env(String),
    /// The first line of this file.
    File(PathBuf),
}

/// Which key in which token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenKey {
    /// The maker's module, a shared library.
    pub module: PathBuf,
    /// Label of the token; without one, there must be exactly one token.
    pub token: Option<String>,
    /// Label of the private key.
    pub key: String,
    /// Where the PIN comes from; without one, nobody logs in.
    pub pin: Option<PinSource>,
}

/// A private key in a token, ready to sign.
pub struct TokenSigner {
    session: Mutex<Session>,
    key: ObjectHandle,
    public: PublicKey,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSigner({:?})", self.public)
    }
}

impl TokenSigner {
    /// Opens the token and finds the key and its public half.
    ///
    /// # Errors
    /// [`KeyError::Token`].
    pub fn open(wanted: &TokenKey) -> Result<Self, KeyError> {
        let module = load(&wanted.module)?;
        let slot = find_token(&module, wanted.token.as_deref())?;
        let session = module.open_ro_session(slot).map_err(|e| failed(&e))?;
        if let Some(source) = &wanted.pin {
            let pin = read_pin(source)?;
            match session.login(UserType::User, Some(&pin)) {
                // A login is the whole process's, not the session's.
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        let key = find_key(&session, &wanted.key, ObjectClass::PRIVATE_KEY)?;
        let public = public_half(&session, key, &wanted.key)?;
        Ok(Self {
            session: Mutex::new(session),
            key,
            public,
        })
    }
}

impl Signer for TokenSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, digest: &[u8], _rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SignatureError> {
        // The token takes its salt from its own randomness.
        let mechanism = match self.public.algorithm() {
            Algorithm::Rsa3072 => Mechanism::RsaPkcsPss(PkcsPssParams {
                hash_alg: MechanismType::SHA256,
                mgf: PkcsMgfType::MGF1_SHA256,
                s_len: SALT.into(),
            }),
            Algorithm::EcdsaP192 | Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => Mechanism::Ecdsa,
        };
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session
            .sign(&mechanism, self.key, digest)
            .map_err(|error| SignatureError::Signer {
                reason: words(&error),
            })
    }
}

/// Modules that are loaded: each may be initialised once in a process, and closing it would end the
/// sessions of everybody else.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

fn load(path: &Path) -> Result<Pkcs11, KeyError> {
    let missing = |error: std::io::Error| KeyError::Token {
        what: format!("module `{}`: {error}", path.display()),
    };
    // Also keeps the loader from searching the system for a bare name.
    let path = path.canonicalize().map_err(missing)?;
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(&path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(&path).map_err(|error| failed(&error))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(failed(&error)),
    }
    modules.insert(path, module.clone());
    Ok(module)
}

fn find_token(module: &Pkcs11, label: Option<&str>) -> Result<Slot, KeyError> {
    let slots = module.get_slots_with_initialized_token();
    let mut found = Vec::new();
    for slot in slots.map_err(|error| failed(&error))? {
        let token = module.get_token_info(slot).map_err(|e| failed(&e))?;
        if label.is_none_or(|label| token.label() == label) {
            found.push(slot);
        }
    }
    let whose = label.map_or_else(String::new, |label| format!(" labelled `{label}`"));
    one(&found, &format!("tokens{whose}"))
}

fn find_key(session: &Session, label: &str, class: ObjectClass) -> Result<ObjectHandle, KeyError> {
    let template = [
        Attribute::Class(class),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let found = session.find_objects(&template).map_err(|e| failed(&e))?;
    one(&found, &format!("keys labelled `{label}` ({class})"))
}

fn one<T: Copy>(found: &[T], what: &str) -> Result<T, KeyError> {
    match found {
        [one] => Ok(*one),
        more => Err(KeyError::Token {
            what: format!("{} {what}, expected exactly one", more.len()),
        }),
    }
}

/// The public half: from the private object where it tells it, else from the public object of the
/// same label.
fn public_half(session: &Session, key: ObjectHandle, label: &str) -> Result<PublicKey, KeyError> {
    let kind = [AttributeType::KeyType];
    let kind = session.get_attributes(key, &kind).map_err(|e| failed(&e))?;
    let unreadable = |error: SignatureError| KeyError::Token {
        what: error.to_string(),
    };
    match kind.first() {
        Some(Attribute::KeyType(KeyType::RSA)) => {
            let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
            let (modulus, exponent) = two(session, key, label, wanted)?;
            PublicKey::from_rsa_numbers(&modulus, &exponent).map_err(unreadable)
        }
        Some(Attribute::KeyType(KeyType::EC)) => {
            let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
            let (curve, point) = two(session, key, label, wanted)?;
            let algorithm = curve_of(&curve).ok_or_else(|| KeyError::Token {
                what: format!("key `{label}` is on a curve that no chip knows"),
            })?;
            PublicKey::from_point(algorithm, unwrapped(&point)).map_err(unreadable)
        }
        _ => Err(KeyError::Token {
            what: format!("key `{label}` is neither RSA nor on a curve"),
        }),
    }
}

/// Two attributes in the order they were asked for.
fn two(
    session: &Session,
    key: ObjectHandle,
    label: &str,
    wanted: [AttributeType; 2],
) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    let read = |object| {
        let found = session.get_attributes(object, &wanted).ok()?;
        let mut found = found.into_iter().filter_map(bytes_of);
        Some((found.next()?, found.next()?))
    };
    if let Some(found) = read(key) {
        return Ok(found);
    }
    let public = find_key(session, label, ObjectClass::PUBLIC_KEY)?;
    read(public).ok_or_else(|| KeyError::Token {
        what: format!("it does not tell the public half of key `{label}`"),
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a token has a hundred attributes, four of which matter"
)]
fn bytes_of(attribute: Attribute) -> Option<Vec<u8>> {
    match attribute {
        Attribute::Modulus(bytes)
        | Attribute::PublicExponent(bytes)
        | Attribute::EcParams(bytes)
        | Attribute::EcPoint(bytes) => Some(bytes).filter(|bytes| !bytes.is_empty()),
        _ => None,
    }
}

/// The curve whose name stands in the parameters (RFC 5480, 2.1.1.1), in DER.
fn curve_of(parameters: &[u8]) -> Option<Algorithm> {
    match parameters {
        b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x01" => Some(Algorithm::EcdsaP192),
        b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07" => Some(Algorithm::EcdsaP256),
        b"\x06\x05\x2b\x81\x04\x00\x22" => Some(Algorithm::EcdsaP384),
        _ => None,
    }
}

/// A point as SEC1 has it: PKCS#11 wraps it into an octet string, some tokens do not.
fn unwrapped(point: &[u8]) -> &[u8] {
    match point {
        [0x04, length, inner @ ..] if usize::from(*length) == inner.len() => inner,
        bare => bare,
    }
}

fn read_pin(source: &PinSource) -> Result<SecretString, KeyError> {
    let missing = |what: String| KeyError::Token { what };
    let text = match source {
        PinSource::Env(name) => Zeroizing::new(
            std::env::var(name).map_err(|_| missing(format!("no PIN in variable `{name}`")))?,
        ),
        PinSource::File(path) => {
            let size = std::fs::metadata(path).map(|file| (file.is_file(), file.len()));
            if !matches!(size, Ok((true, 0..=MAX_PIN))) {
                return Err(missing(format!("no PIN in file `{}`", path.display())));
            }
            let text = std::fs::read_to_string(path);
            Zeroizing::new(text.map_err(|error| {
                missing(format!(
                    "no PIN in file `{}`: {}",
                    path.display(),
                    error.kind()
                ))
            })?)
        }
    };
    let pin = text.lines().next().unwrap_or("").to_owned();
    Ok(SecretString::from(pin))
}

fn failed(error: &Error) -> KeyError {
    KeyError::Token { what: words(error) }
}

/// A token's error in a few words: the libraries explain at length.
fn words(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{code:?} in {function:?}"),
        Error::LibraryLoading(error) => format!("the module cannot be loaded: {error}"),
        Error::NotSupported
        | Error::TryFromInt(_)
        | Error::TryFromSlice(_)
        | Error::ParseInt(_)
        | Error::Utf8(_)
        | Error::NulError(_)
        | Error::NullFunctionPointer
        | Error::MissingSymbol(_)
        | Error::InvalidValue
        | Error::PinNotSet => error.to_string(),
    }
}
