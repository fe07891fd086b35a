//! Strangers: unmodified programs of others that must not notice they talk to our software.

mod espefuse;
mod espflash;
mod esptool;
mod mcp;
