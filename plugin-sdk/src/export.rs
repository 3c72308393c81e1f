//! Connects the component's exports to [`Plugin`].

use crate::bindings::pgq::plugin::{jobs, registry};
use crate::host_job::HostJob;
use crate::{Job, Plugin};

/// Export a plugin: the one line that turns a crate into a component.
///
/// Takes the path of a function `fn() -> Plugin`. The host calls it once to learn what the plugin
/// declares, and once per job or batch, so it should only declare.
///
/// On targets other than wasm it exports nothing, so that `cargo test` works.
#[macro_export]
macro_rules! export {
    ($plugin:path) => {
        const _: fn() -> $crate::Plugin = $plugin;

        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings;

            struct Component;

            impl bindings::exports::pgq::plugin::describe::Guest for Component {
                fn register(
                    registrar: &bindings::pgq::plugin::registry::Registrar,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    $crate::__private::register(&$plugin(), registrar);
                    Ok(())
                }
            }

            impl bindings::exports::pgq::plugin::handler::Guest for Component {
                fn handle(
                    job: &bindings::pgq::plugin::jobs::Job,
                ) -> ::std::result::Result<bindings::pgq::plugin::jobs::Outcome, bindings::pgq::plugin::jobs::Failure>
                {
                    $crate::__private::handle(&$plugin(), job)
                }
            }

            impl bindings::exports::pgq::plugin::batch_handler::Guest for Component {
                fn handle_batch(
                    jobs: ::std::vec::Vec<bindings::pgq::plugin::jobs::Job>,
                ) -> ::std::vec::Vec<
                    ::std::result::Result<bindings::pgq::plugin::jobs::Outcome, bindings::pgq::plugin::jobs::Failure>,
                > {
                    $crate::__private::handle_batch(&$plugin(), &jobs)
                }
            }

            bindings::__export_component! { Component with_types_in $crate::bindings }
        };
    };
}

/// Tell the host what the plugin declares. The host collects the mistakes.
pub fn register(plugin: &Plugin, registrar: &registry::Registrar) {
    plugin.declarations().for_each(|text| registrar.declare(&text));
}

pub fn handle(plugin: &Plugin, job: &jobs::Job) -> Result<jobs::Outcome, jobs::Failure> {
    plugin.run(&Job::new(&HostJob::new(job))).map(Into::into).map_err(Into::into)
}

/// Run several jobs of one entrypoint.
pub fn handle_batch(plugin: &Plugin, jobs: &[jobs::Job]) -> Vec<Result<jobs::Outcome, jobs::Failure>> {
    let jobs: Vec<HostJob<'_>> = jobs.iter().map(HostJob::new).collect();
    let jobs: Vec<Job<'_>> = jobs.iter().map(|job| Job::new(job)).collect();
    plugin.run_batch(&jobs).into_iter().map(|result| result.map(Into::into).map_err(Into::into)).collect()
}
