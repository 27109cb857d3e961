//! See `bodies.rs`.
#![no_main]

#[path = "../bodies.rs"]
mod bodies;
#[path = "../../tests/schema/mod.rs"]
mod schema;

use std::sync::LazyLock;

static SCHEMA: LazyLock<schema::TableSchema> = LazyLock::new(schema::TableSchema::small);

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::ruleset(data, &SCHEMA));
