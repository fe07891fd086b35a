//! `station docs`: the generated pages, printed, so that a check can compare them with what is committed.

use clap::{Arg, ArgMatches, Command};
use serde_json::Value;

use super::command::GlobalOptions;
use super::output::Output;
use crate::operation::{AnyOperation, Effect, Exit, OperationError, Registry};
use crate::operations::registry;

/// The command's declaration.
pub(super) fn command() -> Command {
    Command::new("docs")
        .about("Print a generated page")
        .hide(true)
        .arg(
            Arg::new("page")
                .required(true)
                .value_parser(["operations", "recipe-reference"]),
        )
}

/// Prints the page.
pub(super) fn run(
    matches: &ArgMatches,
    _options: &GlobalOptions,
    output: &Output,
) -> Result<Exit, OperationError> {
    let page = match matches.get_one::<String>("page").map(String::as_str) {
        Some("recipe-reference") => station_line::recipe::reference(),
        Some(_) | None => operations(&registry()),
    };
    output.words(page.trim_end());
    Ok(Exit::Passed)
}

/// The reference of operations: a table of all, then each with its parameters and answer.
fn operations(registry: &Registry) -> String {
    let mut page = String::from(
        "# Operations\n\nGenerated from the registry by `station docs operations`; do not edit.\n\n\
         Every operation is a CLI command and an MCP tool. Effect: *read* leaves nothing changed but a file it was asked to write, *write* \
         changes something that can be changed again, *irreversible* needs an approval. `--json` prints an \
         answer as its schema describes it; an error has a stable code, a message and often a hint.\n\n\
         | MCP tool | CLI | effect | what it does |\n|---|---|---|---|\n",
    );
    for operation in registry.iter() {
        let declaration = operation.declaration();
        page += &format!(
            "| [`{name}`](#{name}) | `station {command}` | {effect} | {title} |\n",
            name = declaration.name,
            command = declaration.command.join(" "),
            effect = word(declaration.effect),
            title = declaration.title,
        );
    }
    for operation in registry.iter() {
        page += &section(operation.as_ref());
    }
    page
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Irreversible => "irreversible",
    }
}

fn section(operation: &dyn AnyOperation) -> String {
    let declaration = operation.declaration();
    let mut text = format!("\n## {}\n\n{}\n", declaration.name, declaration.summary);
    if !declaration.aliases.is_empty() {
        text += &format!("\nAlso called `{}`.\n", declaration.aliases.join("`, `"));
    }
    text += &table("Parameter", &operation.input_schema());
    text += &table("Answer", &operation.output_schema());
    text
}

fn table(heading: &str, schema: &serde_json::Map<String, Value>) -> String {
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return format!("\n{heading}: none.\n");
    };
    let required: Vec<&str> = match schema.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    let mut text = format!("\n| {heading} | type | |\n|---|---|---|\n");
    for (name, property) in properties {
        let said = property
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let must = if heading == "Parameter" && required.contains(&name.as_str()) {
            "required; "
        } else {
            ""
        };
        text += &format!(
            "| `{name}` | {} | {must}{} |\n",
            type_word(property),
            said.replace('\n', " ")
        );
    }
    text
}

/// A property's type in a word or two.
fn type_word(property: &Value) -> String {
    if let Some(reference) = property.get("$ref").and_then(Value::as_str) {
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    match property.get("type") {
        Some(Value::String(kind)) if kind == "array" => {
            format!(
                "list of {}",
                property
                    .get("items")
                    .map_or_else(|| "anything".to_owned(), type_word)
            )
        }
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<&str> = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|kind| *kind != "null")
                .collect();
            kinds.join(" or ")
        }
        Some(_) | None => match property.get("anyOf").and_then(Value::as_array) {
            Some(choices) => {
                let kinds: Vec<String> = choices
                    .iter()
                    .map(type_word)
                    .filter(|word| word != "null")
                    .collect();
                kinds.join(" or ")
            }
            None => "any".to_owned(),
        },
    }
}
