/// How one store is told who asks.
enum Credentials: Sendable, Hashable {
    case none
    case basic(username: String, password: Secret)
    case token(Secret)
}

/// Which of the two stores.
enum Role: String, Sendable, CaseIterable {
    case primary
    case secondary
    /// `MLMIRROR_PRIMARY`, and in front of the store's other variables.
    var variable: String { "MLMIRROR_" + rawValue.uppercased() }
}

/// Finds a store's credentials. Those of one store never serve the other.
///
/// In order: `MLMIRROR_PRIMARY_TOKEN`, or `_USERNAME` and `_PASSWORD`, or user and password in the address where that came from the
/// environment; `auth` in the file; `MLFLOW_TRACKING_USERNAME` and `_PASSWORD` (also from `~/.mlflow/credentials`), else
/// `MLFLOW_TRACKING_TOKEN`, where those belong to this store. Likewise for the secondary.
struct CredentialFinder {
    let role: Role
    let uri: Setting<StoreURI>
    let file: ConfigurationFile.Store?
    let environment: Environment
    /// `MLFLOW_TRACKING_*` belong to this store.
    let ownsTrackingVariables: Bool
    let configurationPath: String?
    /// False: only to look whether the configuration is in order.
    let needsCredentials: Bool

    func find() throws -> Setting<Credentials> {
        if let own = try fromOwnVariables() { return own }
        if let file, let filed = try fromFile(file) { return filed }
        return fromTrackingVariables() ?? Setting(.none, .standard)
    }

    private func fromOwnVariables() throws -> Setting<Credentials>? {
        let prefix = role.variable
        let token = environment.setting("\(prefix)_TOKEN")
        let username = environment.setting("\(prefix)_USERNAME")
        let password = environment.setting("\(prefix)_PASSWORD")
        if let token, let other = password ?? username {
            throw ConfigurationError(token.origin, "expected a token or a user and password, found \(other.origin) too; unset one")
        }
        if uri.value.hasCredentials, let other = token ?? password ?? username {
            throw ConfigurationError(uri.origin, "the address holds a user or password, and there is \(other.origin) too; unset one")
        }
        if let token { return Setting(.token(Secret(token.value)), token.origin) }
        if let user = uri.value.user {
            guard let password = uri.value.password else {
                throw ConfigurationError(uri.origin, "the address holds a user without a password")
            }
            return Setting(.basic(username: user, password: password), uri.origin)
        }
        guard let password else {
            guard let username else { return nil }
            guard let passwordFile = file?.passwordFile else {
                throw ConfigurationError(username.origin, "a user without a password; set \(prefix)_PASSWORD")
            }
            return Setting(.basic(username: username.value, password: try secret(in: passwordFile)), username.origin)
        }
        guard let username = username ?? file?.username else {
            throw ConfigurationError(password.origin, "a password without a user; set \(prefix)_USERNAME")
        }
        return Setting(.basic(username: username.value, password: Secret(password.value)), password.origin)
    }

    private func fromFile(_ file: ConfigurationFile.Store) throws -> Setting<Credentials>? {
        if let token = file.tokenFile { return Setting(.token(try secret(in: token)), token.origin) }
        switch (file.username, file.passwordFile) {
        case (nil, nil): return nil
        case (let username?, let password?):
            return Setting(.basic(username: username.value, password: try secret(in: password)), password.origin)
        case (let username?, nil):
            throw ConfigurationError(username.origin, "\(role.rawValue).auth.username needs \(role.rawValue).auth.password_file beside it")
        case (nil, let password?):
            throw ConfigurationError(password.origin, "\(role.rawValue).auth.password_file needs \(role.rawValue).auth.username beside it")
        }
    }

    private func fromTrackingVariables() -> Setting<Credentials>? {
        guard ownsTrackingVariables else { return nil }
        let path = environment["HOME"].map { "\($0)/.mlflow/credentials" }
        let text = path.flatMap { try? TextFile.read($0, limit: 1 << 16, nil, what: "the credentials in").text }
        let credentials = StoreFactory.trackingCredentials(environment.all, credentialsFile: text)
        switch credentials {
        case .none: return nil
        case .token: return Setting(credentials, .environment("MLFLOW_TRACKING_TOKEN"))
        case .basic:
            let isInFile = environment["MLFLOW_TRACKING_PASSWORD"] == nil
            let place = Place(file: path ?? "", line: 1, column: 1)
            return Setting(credentials, isInFile ? .file(place) : .environment("MLFLOW_TRACKING_PASSWORD"))
        }
    }

    private func secret(in file: Setting<String>) throws -> Secret {
        try SecretFile(environment: environment, configurationPath: configurationPath, mayBeMissing: !needsCredentials).read(file)
    }
}
