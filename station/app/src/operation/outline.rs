//! Any serializable answer as an indented outline: the words for answers that have none of their own.

use serde::Serialize;
use serde_json::Value;

/// Renders `answer` as `name: value` lines, nested by indentation. What an answer leaves open has no line.
pub fn outline<T: Serialize>(answer: &T) -> String {
    let mut text = String::new();
    match serde_json::to_value(answer) {
        Ok(value) => nested(&value, 0, &mut text),
        Err(error) => text = format!("cannot be shown: {error}"),
    }
    text.truncate(text.trim_end().len());
    text
}

fn nested(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                named(&name.replace('_', " "), value, depth, text);
            }
        }
        Value::Array(rows) => {
            for row in rows {
                named("-", row, depth, text);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&plain(value));
            text.push('\n');
        }
    }
}

fn named(name: &str, value: &Value, depth: usize, text: &mut String) {
    let colon = if name == "-" { "" } else { ":" };
    text.push_str(&"  ".repeat(depth));
    text.push_str(name);
    text.push_str(colon);
    match value {
        Value::Object(fields) if fields.is_empty() => text.push_str(" none\n"),
        Value::Array(rows) if rows.is_empty() => text.push_str(" none\n"),
        Value::Array(rows) if rows.iter().all(|row| !row.is_object() && !row.is_array()) => {
            let row: Vec<String> = rows.iter().map(plain).collect();
            text.push(' ');
            text.push_str(&row.join(", "));
            text.push('\n');
        }
        Value::Object(_) | Value::Array(_) => {
            text.push('\n');
            nested(value, depth + 1, text);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let below = format!("\n{}", "  ".repeat(depth + 1));
            match plain(value).trim_end() {
                lines if lines.contains('\n') => {
                    text.push_str(&below);
                    text.push_str(&lines.replace('\n', &below));
                }
                line => {
                    text.push(' ');
                    text.push_str(line);
                }
            }
            text.push('\n');
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::outline;

    #[test]
    fn nested_answers_read_as_an_outline() {
        let answer = json!({"chip": "esp32c3", "flash_id": {"maker": "GigaDevice", "size": 4_194_304},
            "features": ["WiFi", "BLE"], "psram": null, "bays": [],
            "key": {"public": "-----BEGIN\nAAAA\n"}});
        assert_eq!(
            outline(&answer),
            "chip: esp32c3\nflash id:\n  maker: GigaDevice\n  size: 4194304\nfeatures: WiFi, BLE\n\
             bays: none\nkey:\n  public:\n    -----BEGIN\n    AAAA"
        );
    }
}
