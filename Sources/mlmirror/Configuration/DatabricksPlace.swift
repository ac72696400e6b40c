import Platforms

extension StoreURI {
    /// With the host that the variables or the profile name, where the address is one of Databricks that has none itself.
    ///
    /// - Throws: `ConfigurationError`.
    func found(in environment: Environment, _ origin: Origin, key: String) throws -> StoreURI {
        guard scheme == "databricks", let databricks else { return self }
        let host: String
        do { host = try DatabricksVariables(databricks, environment: environment.all).host } catch {
            throw ConfigurationError(origin, "\(key): \(error)")
        }
        var found = try StoreURI(host, origin, key: key)
        found.databricks = databricks
        return found
    }
}
