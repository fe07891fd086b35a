//! The faces: operations declared once, the command line and the MCP server over them.
//!
//! Reading order: [`operation`] (what an operation is), [`station`] (what operations act on), [`rack`]
//! (virtual boards in this process), [`operations`] (every one of them), then the faces [`cli`] and [`mcp`].
//!
//! Invariants: faces name operations, never the runner or the journal's writer; only `cli::output` prints.

pub mod operation;
pub mod ota_server;
pub mod rack;
pub mod station;

pub mod operations;

pub mod cli;
pub mod mcp;
