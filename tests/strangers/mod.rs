//! Strangers: unmodified programs of others that must not notice they talk to our software.

mod burn_plans;
mod efuse_maps;
mod espefuse;
mod espflash;
mod espsecure;
mod esptool;
mod mcp;
