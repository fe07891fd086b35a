//! The registry: every operation with its types erased, so that faces can walk it.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use clap::{ArgMatches, Args, FromArgMatches};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

use super::call::Call;
use super::declaration::{Declaration, Effect, Operation};
use super::error::{Exit, OperationError};
use crate::station::Station;

/// An operation's answer, for any face.
#[derive(Clone, Debug)]
pub struct Invoked {
    /// The answer as its output schema describes it.
    pub answer: Value,
    /// The same in words.
    pub words: String,
    /// What the CLI ends with.
    pub exit: Exit,
}

/// An operation with its types erased.
#[async_trait]
pub trait AnyOperation: Send + Sync {
    /// Its declaration.
    fn declaration(&self) -> &'static Declaration;

    /// Its arguments added to a CLI command.
    fn arguments(&self, command: clap::Command) -> clap::Command;

    /// JSON schema of its parameters.
    fn input_schema(&self) -> Map<String, Value>;

    /// JSON schema of its answer.
    fn output_schema(&self) -> Map<String, Value>;

    /// Turns parsed CLI arguments into parameters.
    fn parameters(&self, matches: &ArgMatches) -> Result<Value, OperationError>;

    /// Does it. Parameters that do not fit the schema are a usage error.
    async fn invoke(
        &self,
        station: &Station,
        parameters: Value,
        call: &Call,
    ) -> Result<Invoked, OperationError>;
}

struct Declared<O>(PhantomData<fn() -> O>);

fn schema_of<T: JsonSchema>(generator: SchemaGenerator) -> Map<String, Value> {
    // A schema that is no object says `true`: anything.
    let schema = generator.into_root_schema_for::<T>().to_value();
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| "object".into());
    schema
}

/// The first number that leaves the range its schema promises, and that range.
fn outside_range(
    parameters: &Value,
    known: Option<&Map<String, Value>>,
) -> Option<(String, String)> {
    for (name, value) in parameters.as_object()? {
        let schema = known?.get(name);
        let bound = |key| {
            schema
                .and_then(|schema| schema.get(key))
                .and_then(Value::as_f64)
        };
        let (low, high) = (bound("minimum"), bound("maximum"));
        let Some(given) = value.as_f64() else {
            continue;
        };
        if low.is_some_and(|low| given < low) || high.is_some_and(|high| given > high) {
            let allowed = match (low, high) {
                (Some(low), Some(high)) => format!("between {low} and {high}"),
                (Some(low), None) => format!("at or above {low}"),
                (None, Some(high)) => format!("at or below {high}"),
                (None, None) => continue,
            };
            return Some((name.clone(), allowed));
        }
    }
    None
}

impl<O: Operation> Declared<O> {
    /// Turns JSON into parameters; a name that the schema does not have is refused, as a misspelt
    /// option must not become a default.
    fn typed(&self, parameters: &Value) -> Result<O::Parameters, OperationError> {
        let name = O::DECLARATION.name;
        if !parameters.is_object() {
            return Err(OperationError::usage(
                "parameters-invalid",
                format!("{name} takes an object of parameters"),
            ));
        }
        let schema = self.input_schema();
        let known = schema.get("properties").and_then(Value::as_object);
        let unknown = parameters
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .find(|given| !known.is_some_and(|known| known.contains_key(given.as_str())));
        if let Some(unknown) = unknown {
            let message = format!("{name} has no parameter `{unknown}`");
            let names: Vec<&str> = known
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str)
                .collect();
            return Err(OperationError::usage("parameters-unknown", message)
                .hint(format!("it takes {}", names.join(", "))));
        }
        if let Some((given, allowed)) = outside_range(parameters, known) {
            let message = format!("{name}: `{given}` must lie {allowed}");
            return Err(OperationError::usage("parameters-invalid", message));
        }
        serde_json::from_value(parameters.clone()).map_err(|error| {
            OperationError::usage("parameters-invalid", format!("{name}: {error}"))
                .hint("the operation's input schema names every parameter and its type")
        })
    }
}

#[async_trait]
impl<O: Operation> AnyOperation for Declared<O> {
    fn declaration(&self) -> &'static Declaration {
        &O::DECLARATION
    }

    fn arguments(&self, command: clap::Command) -> clap::Command {
        O::Parameters::augment_args(command)
    }

    fn input_schema(&self) -> Map<String, Value> {
        schema_of::<O::Parameters>(SchemaSettings::draft2020_12().into_generator())
    }

    fn output_schema(&self) -> Map<String, Value> {
        schema_of::<O::Output>(
            SchemaSettings::draft2020_12()
                .for_serialize()
                .into_generator(),
        )
    }

    fn parameters(&self, matches: &ArgMatches) -> Result<Value, OperationError> {
        let parameters = O::Parameters::from_arg_matches(matches)
            .map_err(|error| OperationError::usage("parameters-invalid", error.to_string()))?;
        serde_json::to_value(parameters)
            .map_err(|error| OperationError::usage("parameters-invalid", error.to_string()))
    }

    async fn invoke(
        &self,
        station: &Station,
        parameters: Value,
        call: &Call,
    ) -> Result<Invoked, OperationError> {
        let declaration = self.declaration();
        let typed = self.typed(&parameters)?;
        if declaration.effect != Effect::Read {
            station.may_record(&parameters)?;
        }
        if declaration.effect != Effect::Read && !O::records_itself() {
            station
                .record_invocation(declaration.name, call, O::recorded(parameters))
                .await?;
        }
        let output = O::invoke(station, typed, call).await?;
        let answer = serde_json::to_value(&output).map_err(|error| {
            OperationError::new(
                "answer-unprintable",
                format!("{}: {error}", declaration.name),
            )
        })?;
        Ok(Invoked {
            answer,
            words: O::words(&output),
            exit: O::exit(&output),
        })
    }
}

/// Every operation, in the order of the reference.
#[derive(Clone, Default)]
pub struct Registry {
    operations: Vec<Arc<dyn AnyOperation>>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operation. Names are proved unique by a test, not here.
    #[must_use]
    pub fn with<O: Operation>(mut self) -> Self {
        self.operations.push(Arc::new(Declared::<O>(PhantomData)));
        self
    }

    /// Every operation.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn AnyOperation>> {
        self.operations.iter()
    }

    /// The operation of that name or alias.
    pub fn find(&self, name: &str) -> Option<&Arc<dyn AnyOperation>> {
        self.operations.iter().find(|operation| {
            let declaration = operation.declaration();
            declaration.name == name || declaration.aliases.contains(&name)
        })
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|operation| operation.declaration().name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::Face;
    use crate::operations::registry;
    use crate::station::StationOptions;

    async fn refused(name: &str, parameters: Value) -> OperationError {
        let station = Station::open(StationOptions::default()).unwrap();
        let call = Call::silent(Face::Mcp, "a test");
        registry()
            .find(name)
            .unwrap()
            .invoke(&station, parameters, &call)
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn an_unknown_parameter_is_refused_with_those_there_are() {
        let error = refused("run_status", json!({"run": 1, "runn": 1})).await;
        assert_eq!(error.code, "parameters-unknown");
        assert_eq!(error.hint.as_deref(), Some("it takes run"));
        assert_eq!(error.exit, Exit::Usage);
    }

    #[tokio::test]
    async fn a_parameter_of_another_type_is_refused() {
        for (name, parameters) in [
            ("run_status", json!({"run": "1"})),
            ("run_status", json!({"run": -1})),
            ("run_status", json!({})),
            ("run_status", json!([1])),
            ("run_status", Value::Null),
            ("esp_detect_chip", json!({"port": 1})),
            (
                "esp_detect_chip",
                json!({"port": "virtual:1", "chip": "esp8266"}),
            ),
            ("run_cancel", json!({"run": 1, "mode": "kill"})),
        ] {
            assert_eq!(
                refused(name, parameters.clone()).await.code,
                "parameters-invalid",
                "{name} {parameters}"
            );
        }
    }

    #[tokio::test]
    async fn a_number_outside_what_its_schema_promises_is_refused_on_every_face() {
        for (name, parameters) in [
            ("run_events", json!({"run": 1, "limit": 0})),
            ("run_events", json!({"run": 1, "limit": 10_001})),
            ("run_list", json!({"limit": 0})),
            (
                "esp_batch_program",
                json!({"recipe": "r.toml", "virtual": 65}),
            ),
            ("esp_batch_program", json!({"recipe": "r.toml", "units": 0})),
            (
                "esp_test_connection",
                json!({"port": "virtual:1", "count": 100_001}),
            ),
        ] {
            let error = refused(name, parameters.clone()).await;
            assert_eq!(
                error.code, "parameters-invalid",
                "{name} {parameters}: {error}"
            );
            assert!(error.message.contains("must lie"), "{}", error.message);
        }
    }

    #[test]
    fn an_alias_finds_the_same_operation() {
        let registry = registry();
        let found = |name| {
            registry
                .find(name)
                .map(|operation| operation.declaration().name)
        };
        assert_eq!(found("esp_verify_flash"), found("esp_flash_verify"));
        assert_eq!(found("esp_verify"), None);
    }
}
