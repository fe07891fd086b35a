//! What must hold across rooms. One binary; names are sentences; no sleeps, no order, no network but loopback.

#![expect(
    unreachable_pub,
    reason = "the suites share one support module in one binary"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, and says where"
)]

mod architecture;
mod bad_input;
mod corpus;
mod crash;
mod flash_contents;
mod registry;
mod run_cli;
mod secrets;
mod strangers;
mod support;
