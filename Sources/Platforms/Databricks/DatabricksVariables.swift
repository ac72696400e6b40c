import Foundation

/// What the variables of Databricks' own clients, and a profile of `.databrickscfg`, say of a workspace and of who asks.
///
/// As databricks-sdk 0.156 merges them (`config.py`): the environment goes before the profile; a profile is read when it is named, or when
/// the environment says neither host nor who asks.
public struct DatabricksVariables: Sendable {
    /// They say less, or other, than what is needed. No value is in the text.
    public struct Invalid: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
        init(_ description: String) { self.description = description }
    }

    struct Value: Sendable {
        var text: String
        /// For people: `DATABRICKS_TOKEN`, `token of profile DEFAULT in /home/ann/.databrickscfg`.
        var source: String
    }

    /// Scheme, host and port.
    public let host: String
    private var values: [String: Value]
    let environment: [String: String]
    /// Another workspace that the values were written for.
    private var foreignHost: Value?

    private static let names = [
        ("host", "DATABRICKS_HOST"), ("token", "DATABRICKS_TOKEN"), ("username", "DATABRICKS_USERNAME"),
        ("password", "DATABRICKS_PASSWORD"), ("client_id", "DATABRICKS_CLIENT_ID"), ("client_secret", "DATABRICKS_CLIENT_SECRET"),
        ("auth_type", "DATABRICKS_AUTH_TYPE"), ("workspace_id", "DATABRICKS_WORKSPACE_ID"), ("oidc_token_env", "DATABRICKS_OIDC_TOKEN_ENV"),
        // The later of two goes before the other.
        ("oidc_token_filepath", "DATABRICKS_OIDC_TOKEN_FILE"), ("oidc_token_filepath", "DATABRICKS_OIDC_TOKEN_FILEPATH"),
        ("azure_workspace_resource_id", "DATABRICKS_AZURE_RESOURCE_ID"),
        ("azure_client_id", "ARM_CLIENT_ID"), ("azure_client_secret", "ARM_CLIENT_SECRET"), ("azure_tenant_id", "ARM_TENANT_ID"),
        ("azure_use_msi", "ARM_USE_MSI"), ("azure_environment", "ARM_ENVIRONMENT"),
    ]
    /// What says who asks, or which workspace: where the environment has one of these, a profile is read only when it is named (databricks-sdk,
    /// `config.py`, `is_any_auth_configured`).
    private static let telling = [
        "host", "token", "username", "password", "client_id", "client_secret", "oidc_token_env", "oidc_token_filepath",
        "azure_workspace_resource_id", "azure_client_id", "azure_client_secret", "azure_tenant_id", "azure_use_msi",
    ]

    /// - Throws: `Invalid`.
    public init(_ address: DatabricksAddress, environment: [String: String]) throws(Invalid) {
        self.environment = environment
        var values: [String: Value] = [:]
        for (name, variable) in Self.names {
            if let text = environment[variable], !text.isEmpty { values[name] = Value(text: text, source: variable) }
        }
        var named: (name: String, by: String)?
        switch address {
        case .profile(let name): named = (name, "databricks://\(name)")
        case .standard, .host:
            named = environment["DATABRICKS_CONFIG_PROFILE"].flatMap { $0.isEmpty ? nil : ($0, "DATABRICKS_CONFIG_PROFILE") }
        }
        let said = Self.telling.compactMap { values[$0] }.first
        var isAtAddress = false
        if case .host = address { isAtAddress = true }
        let path = Self.path(environment)
        var profile: [String: Value] = [:]
        if named == nil, said == nil, !isAtAddress { named = Self.chosen(path) }
        if let named {
            profile = try Self.profile(named.name, path, by: named.by)
        } else if said == nil, !isAtAddress {
            profile = try Self.profile("DEFAULT", path, by: nil)
        }
        if case .profile = address, let here = values["host"], let there = profile["host"], try !Self.isSame(here, there) {
            throw Invalid(
                "\(here.source) names another workspace than \(there.source): a credential would go to the wrong one; unset \(here.source)")
        }
        let hosts = [values["host"], profile["host"]].compactMap { $0 }
        values.merge(profile) { own, _ in own }
        if case .host(let url) = address {
            let own = Value(text: url, source: "the address")
            if let other = values["host"], try !Self.isSame(other, own) { foreignHost = other }
            values["host"] = own
        }
        guard let host = values["host"] else {
            if named == nil, let said {
                throw Invalid(
                    "no host of a workspace: \(said.source) is set, so that no profile is read which is not named; set DATABRICKS_HOST, or name "
                        + "a profile of \(path): databricks://PROFILE")
            }
            throw Invalid("no host of a workspace: set DATABRICKS_HOST, or write host under [\(named?.name ?? "DEFAULT")] in \(path)")
        }
        self.host = try Self.normalized(host)
        if foreignHost != nil {
            // Of the other workspace.
            values["workspace_id"] = nil
        } else if values["workspace_id"] == nil {
            for host in hosts {
                let isMeant = try Self.normalized(host) == self.host
                guard isMeant, values["workspace_id"] == nil, let id = DatabricksHost.workspaceID(askedOf: host.text) else { continue }
                values["workspace_id"] = Value(text: id, source: "?o= in \(host.source)")
            }
        }
        if let id = values["workspace_id"], !DatabricksHost.isWorkspaceID(id.text) {
            throw Invalid("\(id.source): expected the number of a workspace, as the address in its browser has it after ?o=")
        }
        self.values = values
    }

    subscript(name: String) -> Value? { values[name] }

    /// What is said was said for this workspace.
    ///
    /// - Throws: `Invalid`, where it was another.
    func requireOwn(_ value: Value) throws(Invalid) {
        guard let foreignHost else { return }
        throw Invalid(
            "\(value.source) belongs to the workspace that \(foreignHost.source) names, which is not \(host); "
                + "unset both, or name the same workspace")
    }

    private static func isSame(_ a: Value, _ b: Value) throws(Invalid) -> Bool {
        let (here, there) = (DatabricksHost.workspaceID(askedOf: a.text), DatabricksHost.workspaceID(askedOf: b.text))
        return try normalized(a) == normalized(b) && (here == nil || there == nil || here == there)
    }

    private static func normalized(_ host: Value) throws(Invalid) -> String {
        do { return try DatabricksHost.normalized(host.text) } catch { throw Invalid("\(host.source): \(error)") }
    }

    // MARK: The file

    private static func path(_ environment: [String: String]) -> String {
        let home = environment["HOME"] ?? ""
        guard let path = environment["DATABRICKS_CONFIG_FILE"], !path.isEmpty else { return "\(home)/.databrickscfg" }
        return path.hasPrefix("~/") ? home + path.dropFirst(1) : path
    }

    /// Of what Databricks' command line notes for itself: never a profile.
    private static let settings = "__settings__"

    private static func text(_ path: String) -> String? {
        guard let data = FileManager.default.contents(atPath: path), data.count < 1 << 20 else { return nil }
        return String(data: data, encoding: .utf8)
    }

    /// The profile that `databricks auth switch` has chosen for whoever names none.
    private static func chosen(_ path: String) -> (name: String, by: String)? {
        guard let text = Self.text(path), let name = MLflowEnvironment.section(settings, of: text)["default_profile"], !name.isEmpty else {
            return nil
        }
        return (name, "default_profile under [\(settings)]")
    }

    /// - Parameter by: who names it; nil: it may be missing.
    private static func profile(_ name: String, _ path: String, by: String?) throws(Invalid) -> [String: Value] {
        guard let text = Self.text(path) else {
            guard let by else { return [:] }
            throw Invalid("\(by) names a profile, but \(path) cannot be read; write it, or set DATABRICKS_CONFIG_FILE")
        }
        let sections = MLflowEnvironment.sections(of: text).subtracting([settings])
        guard sections.contains(name) else {
            guard let by else { return [:] }
            throw Invalid("\(by): there is no profile [\(name)] in \(path); it has \(sections.sorted().joined(separator: ", "))")
        }
        return MLflowEnvironment.section(name, of: text).filter { !$0.value.isEmpty }.reduce(into: [:]) {
            $0[$1.key] = Value(text: $1.value, source: "\($1.key) of profile \(name) in \(path)")
        }
    }
}

extension DatabricksVariables: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The host alone.
    public var description: String { host }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["host": host]) }
}
