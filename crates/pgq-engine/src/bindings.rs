//! The generated bindings of `wit/`. They are private to this crate: the rest of the host sees only
//! the plain data of `pgq-job`.

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

/// The optional export. It is bound separately, so that a component without it is still a plugin.
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
