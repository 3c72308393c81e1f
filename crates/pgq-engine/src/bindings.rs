//! The generated half of `wit/`. Private to `wasm`: what the rest of the host sees is `job`'s plain
//! data.

wasmtime::component::bindgen!({
    path: "wit",
    world: "plugin",
    imports: { default: trappable },
    exports: { default: async },
    with: {
        "pgq:plugin/jobs.job": super::resources::JobHandle,
        "pgq:plugin/registry.registrar": super::resources::Registrar,
        "pgq:plugin/registry.entrypoint": super::resources::EntrypointHandle,
        "pgq:plugin/enqueue.request": super::resources::Request,
    },
    require_store_data_send: true,
});

/// The optional export, found by itself so that a component without it is a plugin all the same.
pub(super) mod batch {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "package pgq:host; world batch { export pgq:plugin/batch-handler@0.1.0; }",
        world: "pgq:host/batch",
        exports: { default: async },
        with: { "pgq:plugin/jobs": super::pgq::plugin::jobs },
        require_store_data_send: true,
    });
}
