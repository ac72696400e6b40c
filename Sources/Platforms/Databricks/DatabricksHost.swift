import Curl

/// Where a workspace of Databricks is.
public enum DatabricksHost {
    private static let domains = [
        ".azuredatabricks.net", ".databricks.azure.us", ".databricks.azure.cn", ".cloud.databricks.com", ".cloud.databricks.us",
        ".gcp.databricks.com", ".databricks.com",
    ]

    /// Whether a host, in lower case, is a workspace's. Those of apps and of the documentation are none.
    public static func isMeant(by host: String) -> Bool {
        !["docs", "www", "accounts"].contains(host.prefix { $0 != "." }) && domains.contains { host.hasSuffix($0) }
    }

    /// `https://adb-1234567890123456.7.azuredatabricks.net` has the workspace's id in its name; nil where the host has none.
    static func workspaceID(of url: String) -> String? {
        let host = TrackingURI.authority(of: url)
        guard host.hasPrefix("adb-"), isMeant(by: host) else { return nil }
        let digits = host.dropFirst(4).prefix { $0.isASCII && $0.isNumber }
        return digits.isEmpty ? nil : String(digits)
    }

    /// Which workspace an address that was copied from a browser names: `https://HOST/?o=1234567890123456`. Several workspaces may share a host;
    /// as databricks-sdk-go reads it (`config.go`, `workspaceIDFromQuery`). Nil where it names none.
    static func workspaceID(askedOf text: String) -> String? {
        let query = text.prefix { $0 != "#" }.drop { $0 != "?" }.dropFirst()
        var said: [String: String] = [:]
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { said[String(parts[0])] = String(parts[1]) }
        }
        if let name = said["w"], isWorkspaceID(name) { return name }
        return ["o", "workspace_id"].compactMap { said[$0] }.first { isNumber($0) }
    }

    static func isNumber(_ id: String) -> Bool { !id.isEmpty && id.allSatisfy { $0.isASCII && $0.isNumber } }

    /// A number, or one of the other names that a host may know a workspace by. It goes into a header.
    static func isWorkspaceID(_ text: String) -> Bool {
        !text.isEmpty && text.count <= 100 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
    }

    /// What tells a host that several workspaces share which one is meant. Databricks' clients have sent the first until 2026, and send the
    /// second now (databricks-sdk-py 0.113).
    static func headers(to workspaceID: String) -> [HTTPHeader] {
        (isNumber(workspaceID) ? [HTTPHeader("X-Databricks-Org-Id", workspaceID)] : []) + [
            HTTPHeader("X-Databricks-Workspace-Id", workspaceID)
        ]
    }

    /// Scheme, host and port of what people write: a host alone means https, and a path is left out, as the official clients do.
    ///
    /// - Throws: `MLflowEndpoint.InvalidURI`, which never repeats a password.
    static func normalized(_ text: String) throws(MLflowEndpoint.InvalidURI) -> String {
        let plain = text.prefix { $0 != "?" && $0 != "#" }
        let parts = try TrackingURI(plain.contains("://") ? String(plain) : "https://\(plain)")
        guard parts.user == nil else {
            throw MLflowEndpoint.InvalidURI(description: "no user or password can be in the address of a workspace")
        }
        let scheme = parts.base.prefix { $0 != ":" }
        return "\(scheme)://\(TrackingURI.authority(of: parts.base))"
    }
}

/// How people name a workspace.
public enum DatabricksAddress: Sendable, Hashable {
    /// `databricks`: what `DATABRICKS_HOST` or the profile says.
    case standard
    /// `databricks://NAME`, of `.databrickscfg`.
    case profile(String)
    /// Its own address.
    case host(String)
}
