import Platforms

extension StoreURI {
    /// As MLflow's own clients are told of a workspace of Databricks: they take no address, but a profile; in a notebook there is only one
    /// workspace.
    var databricksURI: String? {
        switch databricks {
        case .profile(let name): "databricks://\(name)"
        case .standard, .host: "databricks"
        case nil: nil
        }
    }

    /// With the host that the variables or the profile name, where the address is one of Databricks that has none itself.
    ///
    /// - Throws: `ConfigurationError`.
    func found(in environment: Environment, _ origin: Origin, key: String) throws -> StoreURI {
        guard scheme == "databricks", let databricks else { return self }
        let host: String
        do { host = try DatabricksVariables(databricks, environment: environment.all).host } catch {
            // A flag or a variable names itself.
            let subject = if case .file = origin { "\(key): " } else { "" }
            throw ConfigurationError(origin, "\(subject)\(error)")
        }
        var found = try StoreURI(host, origin, key: key)
        found.databricks = databricks
        return found
    }
}
