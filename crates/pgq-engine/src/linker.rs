//! Everything that a component may import. A component that imports anything else does not load.

use wasmtime::component::Linker;
use wasmtime_wasi_config::WasiConfig;

use super::state::State;
use super::{clock_host, enqueue_host, files_host, http_host, jobs_host, log_host, registry_host, sql_host};

pub(super) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    clock_host::add_to_linker(&mut linker, State::clock)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, |state: &mut State| WasiConfig::from(&state.config))?;
    files_host::add_to_linker(&mut linker, State::files)?;
    jobs_host::add_to_linker(&mut linker, State::jobs)?;
    registry_host::add_to_linker(&mut linker, State::registry)?;
    enqueue_host::add_to_linker(&mut linker, State::enqueue)?;
    log_host::add_to_linker(&mut linker, State::log)?;
    sql_host::add_to_linker(&mut linker, State::sql)?;
    http_host::add_to_linker(&mut linker, State::http_requests)?;
    Ok(linker)
}
