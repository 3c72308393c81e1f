//! What a plugin takes from its host and what it gives, by the names in its component.

use super::component::Loaded;

impl Loaded {
    /// The interfaces that it imports.
    pub fn imports(&self) -> Vec<String> {
        let component = self.pre.instance_pre().component();
        component.component_type().imports(component.engine()).map(|(name, _)| name.to_owned()).collect()
    }

    /// The interfaces that it exports.
    pub fn exports(&self) -> Vec<String> {
        let component = self.pre.instance_pre().component();
        component.component_type().exports(component.engine()).map(|(name, _)| name.to_owned()).collect()
    }
}
