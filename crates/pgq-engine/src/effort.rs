//! How much a compiler does for the code that it makes.

use std::str::FromStr;

use wasmtime::{Config, OptLevel, RegallocAlgorithm};

/// The code of each effort does the same, under the same limits, and runs in the same engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Compiled in a third of the time. A new version is served with this code first.
    Quick,
    /// Optimised.
    Full,
    /// Optimised, behind everything else on the machine.
    Background,
}

impl Effort {
    /// Change the settings of a compiler.
    pub(super) fn set(self, config: &mut Config) {
        if self == Effort::Quick {
            config.cranelift_opt_level(OptLevel::None).cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
        }
    }

    /// The name on the command line of the compiler.
    pub(super) fn name(self) -> &'static str {
        match self {
            Effort::Quick => "quick",
            Effort::Full => "full",
            Effort::Background => "background",
        }
    }
}

impl FromStr for Effort {
    type Err = String;

    fn from_str(name: &str) -> Result<Effort, String> {
        let known = [Effort::Quick, Effort::Full, Effort::Background].into_iter().find(|effort| effort.name() == name);
        known.ok_or_else(|| format!("{name:?} is not quick, full or background"))
    }
}
