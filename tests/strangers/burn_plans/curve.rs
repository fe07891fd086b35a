//! Private keys of elliptic curves as PEM files, which is how espefuse takes them.

/// `scalar` as a key of P-192, P-256 or P-384, by its length (SEC 1, RFC 5915; RFC 5480 has the
/// names of the curves).
pub(super) fn private_key(scalar: &[u8]) -> String {
    let curve: &[u8] = match scalar.len() {
        24 => &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 1],
        32 => &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7],
        _ => &[0x2B, 0x81, 4, 0, 0x22],
    };
    let curve = tagged(0xA0, &tagged(0x06, curve));
    let whole = [&tagged(0x02, &[1])[..], &tagged(0x04, scalar), &curve].concat();
    let text = base64(&tagged(0x30, &whole));
    format!("-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n")
}

/// One element in DER; all of them are short.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, content.len() as u8], content].concat()
}

/// In lines of 64 characters.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for line in bytes.chunks(48) {
        for three in line.chunks(3) {
            let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
            let word = at(0) << 16 | at(1) << 8 | at(2);
            for place in 0..4 {
                let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
                let filled = place <= three.len();
                text.push(if filled { char::from(letter) } else { '=' });
            }
        }
        text.push('\n');
    }
    text
}
