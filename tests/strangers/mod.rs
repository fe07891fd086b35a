//! Strangers: unmodified programs of others that must not notice they talk to our software.

mod burn_plans;
mod certificates;
mod efuse_maps;
mod elf2image;
mod espefuse;
mod espflash;
mod espsecure;
mod esptool;
mod images;
mod matter;
mod mcp;
mod nvs;
mod ota;
mod partitions;
