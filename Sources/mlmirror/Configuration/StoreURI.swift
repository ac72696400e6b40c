import Platforms

/// A store's address as MLflow's own clients write it.
struct StoreURI: Sendable, Hashable, CustomStringConvertible {
    var scheme: String
    var host: String
    var port: Int
    /// Without a slash at its end.
    var path: String
    var user: String?
    var password: Secret?
    /// Of a workspace of Databricks: how it was named.
    var databricks: DatabricksAddress?

    static let known = ["http", "https", "azureml", "databricks"]

    /// Of a workspace of Azure ML, by its own address or by an https one.
    var isAzureML: Bool { scheme == "azureml" || AzureWorkspace.isMeant(by: description) }

    var isDatabricks: Bool { databricks != nil }

    /// The address without credentials.
    var description: String {
        if scheme == "databricks" { return host.isEmpty ? scheme : "\(scheme)://\(host)" }
        let shownPort = port == Self.standardPort(scheme) ? "" : ":\(port)"
        return "\(scheme)://\(host)\(shownPort)\(path)"
    }

    /// For people: an address of Azure ML names three things that nobody looks for.
    var shortName: String {
        guard isAzureML else { return description }
        return "azureml://\(host) (workspace \(path.split(separator: "/").last ?? ""))"
    }

    var hasCredentials: Bool { user != nil || password != nil }

    /// Same server, port and path, however they were spelt.
    func isSameAddress(as other: StoreURI) -> Bool { description == other.description }

    /// Throws `ConfigurationError` that says what was expected. Never repeats the text: it may hold a password.
    init(_ text: String, _ origin: Origin, key: String) throws {
        // A flag or a variable names itself.
        let subject = if case .file = origin { "\(key): " } else { "" }
        func fail(_ message: String) -> ConfigurationError { ConfigurationError(origin, subject + message) }
        let expected = "expected http://HOST[:PORT], https://HOST[:PORT], azureml://... or databricks"
        guard !text.isEmpty else { throw fail("no address; \(expected)") }
        guard text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value < 0x7F }) else {
            throw fail("the address holds a space, a control character or a letter outside ASCII; \(expected)")
        }
        let scheme = text.prefix { $0 != ":" }.lowercased()
        if scheme == "databricks-uc" {
            throw fail("databricks-uc is the address of a registry; name the workspace: databricks, or databricks://PROFILE")
        }
        if scheme == "databricks" {
            guard let profile = Self.profile(text) else {
                throw fail("expected databricks, or databricks://PROFILE with a profile of .databrickscfg")
            }
            self = Self(profile: profile)
            return
        }
        guard let separator = text.firstRange(of: "://") else {
            let looksLikeHost = !text.contains("@") && text.contains { $0 == ":" || $0 == "." }
            throw fail(looksLikeHost ? "no scheme; did you mean http://\(text)?" : "no scheme; \(expected)")
        }
        guard Self.known.contains(scheme) else {
            throw fail("unknown scheme \(scheme.isEmpty ? "\"\"" : scheme); known are \(Self.known.joined(separator: ", "))")
        }
        let rest = text[separator.upperBound...]
        guard !rest.contains(where: { $0 == "?" || $0 == "#" }) else {
            let host = rest.prefix { !"/?#".contains($0) }.lowercased()
            guard DatabricksHost.isMeant(by: host) else { throw fail("an address has no ? and no #; \(expected)") }
            throw fail("expected https://\(host) alone; where several workspaces share it, set DATABRICKS_WORKSPACE_ID to what follows ?o=")
        }
        let authority = rest.prefix { $0 != "/" }
        let hostAndPort = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
        if hostAndPort.endIndex == authority.endIndex, hostAndPort.startIndex != authority.startIndex {
            let pair = authority[..<hostAndPort.startIndex].dropLast().split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let user = Self.decoded(pair[0]), let password = Self.decoded(pair.count > 1 ? pair[1] : "") else {
                throw fail("the user name or password in the address is not percent-encoded as it must be")
            }
            self.user = user
            self.password = pair.count > 1 ? Secret(password) : nil
        }
        guard let (host, port) = Self.split(hostAndPort, standardPort: Self.standardPort(scheme)) else {
            throw fail("no valid host and port; \(expected)")
        }
        self.scheme = scheme
        self.host = host
        self.port = port
        path = String(rest[authority.endIndex...])
        while path.hasSuffix("/") { path.removeLast() }
        guard DatabricksHost.isMeant(by: host) else { return }
        guard scheme == "https", path.isEmpty else {
            throw fail("expected https://\(host) alone: it is a workspace of Databricks")
        }
        databricks = .host(description)
    }

    /// `databricks` or `databricks://PROFILE`, whose host is still to be found: see `found(in:)`.
    private init(profile: String) {
        (scheme, host, port, path) = ("databricks", profile, Self.standardPort("https"), "")
        databricks = profile.isEmpty ? .standard : .profile(profile)
    }

    /// "" where none is named; nil where that is no name of one.
    private static func profile(_ text: String) -> String? {
        if !text.contains(":") { return "" }
        guard let separator = text.firstRange(of: "://") else { return nil }
        var name = text[separator.upperBound...]
        if name.hasSuffix("/") { name.removeLast() }
        return name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) } ? String(name) : nil
    }

    private static func standardPort(_ scheme: String) -> Int { scheme == "http" ? 80 : 443 }

    private static func split(_ text: Substring, standardPort: Int) -> (String, Int)? {
        let afterHost = text.first == "[" ? text.drop { $0 != "]" }.dropFirst() : text.drop { $0 != ":" }
        let host = text[..<afterHost.startIndex].lowercased()
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
        guard !host.isEmpty, isBracketed || host.allSatisfy({ $0.isLetter || $0.isNumber || "-._".contains($0) }) else { return nil }
        if afterHost.isEmpty { return (host, standardPort) }
        guard afterHost.first == ":", let port = Int(afterHost.dropFirst()), (1...65535).contains(port) else { return nil }
        return (host, port)
    }

    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
