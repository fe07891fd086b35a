//! Text with fields in braces: what serial patterns and templates have in common.
//!
//! `{{` and `}}` stand for the braces themselves.

/// A stretch of such a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text as it is; never empty.
    Literal(String),
    /// What stands between two braces, possibly nothing.
    Field(String),
}

/// Braces that do not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unbalanced;

/// Takes a text apart, up to the first brace that has no match: what is wrong before it counts
/// first.
pub(crate) fn pieces(text: &str) -> Vec<Result<Piece, Unbalanced>> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '{' | '}' if characters.peek() == Some(&character) => {
                characters.next();
                literal.push(character);
            }
            '{' => {
                if !literal.is_empty() {
                    pieces.push(Ok(Piece::Literal(std::mem::take(&mut literal))));
                }
                pieces.push(field(&mut characters));
            }
            '}' => pieces.push(Err(Unbalanced)),
            other => literal.push(other),
        }
        if pieces.last() == Some(&Err(Unbalanced)) {
            return pieces;
        }
    }
    if !literal.is_empty() {
        pieces.push(Ok(Piece::Literal(literal)));
    }
    pieces
}

/// What stands up to the closing brace.
fn field(characters: &mut impl Iterator<Item = char>) -> Result<Piece, Unbalanced> {
    let mut field = String::new();
    loop {
        match characters.next() {
            Some('}') => return Ok(Piece::Field(field)),
            None | Some('{') => return Err(Unbalanced),
            Some(other) => field.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_braces_are_text_and_single_ones_must_match() {
        let literal = |text: &str| Ok(Piece::Literal(text.to_owned()));
        let field = |text: &str| Ok(Piece::Field(text.to_owned()));
        assert_eq!(
            pieces("a{b}{{c}}{}"),
            [literal("a"), field("b"), literal("{c}"), field("")]
        );
        assert_eq!(pieces(""), []);
        for odd in ["{", "}", "{a", "a}", "{a{b}}"] {
            assert_eq!(pieces(odd).last(), Some(&Err(Unbalanced)), "{odd}");
        }
        assert_eq!(pieces("{a} {"), [field("a"), literal(" "), Err(Unbalanced)]);
    }
}
