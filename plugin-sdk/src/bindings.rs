//! The bindings that `wit-bindgen` generates from `wit/`. Private: the SDK converts to its own
//! types, so that a newer contract changes this file and its neighbours, but no plugin.

#![allow(
    unsafe_code,
    unreachable_pub,
    dead_code,
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    reason = "generated"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "batch-plugin",
    pub_export_macro: true,
    export_macro_name: "__export_component",
    default_bindings_module: "pgq_plugin_sdk::bindings",
});
