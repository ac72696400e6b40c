import Platforms
import Replication

/// A store that is ready to be asked, with what ends it.
struct OpenedStore: Sendable {
    var store: any WritableStore
    /// The server's own word on its version; nil where it has none.
    var version: @Sendable () async throws -> String?
    /// What it is, and who asks, for people; nil: an MLflow server.
    var kind: (@Sendable () async throws -> String)?
    /// Requests sent so far.
    var requestCount: @Sendable () -> Int
    var close: @Sendable () -> Void
    /// What was asked so far, by what it was about.
    var figures: @Sendable () -> RequestFigures = { RequestFigures() }
    /// Of the credential that was given, in seconds since 1970; nil: it says nothing of an end, or is renewed.
    var credentialEndsAt: Double?
}

/// The one place that knows which platform stands behind which address.
enum StoreFactory {
    /// Opens nothing yet: the first request does.
    static func open(_ settings: StoreSettings) throws -> OpenedStore {
        if settings.uri.value.isAzureML { return try openAzureML(settings) }
        if let address = settings.uri.value.databricks { return try openDatabricks(settings, address) }
        let endpoint: MLflowEndpoint
        do {
            endpoint = try MLflowEndpoint(
                uri: settings.uri.value.description, credentials: credentials(settings.credentials.value),
                workspace: settings.workspace?.value,
                requestTimeout: MLflowEnvironment(settings.environment).requestTimeout ?? 120)
        } catch {
            throw ConfigurationError(settings.uri.origin, "\(settings.role.rawValue): \(error)")
        }
        let connection = MLflowConnection(
            endpoint, environment: settings.environment, caFile: settings.caFile?.value,
            clientCertificate: settings.clientCertificateFile?.value, database: try settings.database.map(database))
        var store = connection.store
        store.carriesUnknownFields = settings.carriesUnknownFields
        return OpenedStore(
            store: store, version: { try await connection.store.serverVersion() }, kind: nil,
            requestCount: { connection.requestCount }, close: { connection.close() }, figures: { connection.requests },
            credentialEndsAt: connection.credentialEndsAt)
    }

    private static func openAzureML(_ settings: StoreSettings) throws -> OpenedStore {
        func refuse(_ why: String, _ origin: Origin? = nil) -> ConfigurationError {
            ConfigurationError(origin ?? settings.uri.origin, "\(settings.role.rawValue): \(why)")
        }
        guard settings.role == .secondary else {
            throw refuse("a workspace of Azure ML can only be the secondary: what is logged there is not followed")
        }
        let token: String?
        switch settings.credentials.value {
        case .none: token = nil
        case .token(let secret): token = secret.revealed
        case .basic: throw refuse("Azure ML takes no user and password; give a token, or AZURE_* variables", settings.credentials.origin)
        }
        if let workspace = settings.workspace {
            throw refuse("the workspace is in the address already; leave out workspace", workspace.origin)
        }
        if let certificate = settings.clientCertificateFile {
            throw refuse("Azure ML takes no client certificate; leave out client_certificate_file", certificate.origin)
        }
        let connection: AzureMLConnection
        do {
            connection = try AzureMLConnection(
                try AzureWorkspace(uri: settings.uri.value.description), token: token, environment: settings.environment,
                caFile: settings.caFile?.value, requestTimeout: MLflowEnvironment(settings.environment).requestTimeout ?? 120)
        } catch let error as MLflowEndpoint.InvalidURI {
            throw refuse("\(error)")
        } catch let error as AzureIdentity.Incomplete {
            throw refuse("\(error)")
        }
        return OpenedStore(
            store: connection.store, version: { nil }, kind: { "Azure ML" }, requestCount: { connection.requestCount },
            close: { connection.close() }, figures: { connection.requests }, credentialEndsAt: connection.credentialEndsAt)
    }

    private static func openDatabricks(_ settings: StoreSettings, _ address: DatabricksAddress) throws -> OpenedStore {
        func refuse(_ why: String, _ origin: Origin? = nil) -> ConfigurationError {
            ConfigurationError(origin ?? settings.uri.origin, "\(settings.role.rawValue): \(why)")
        }
        if let workspace = settings.workspace {
            throw refuse("the workspace is in the address already; leave out workspace", workspace.origin)
        }
        if let certificate = settings.clientCertificateFile {
            throw refuse("Databricks takes no client certificate; leave out client_certificate_file", certificate.origin)
        }
        if let database = settings.database {
            throw refuse("nobody reaches the data base behind a workspace of Databricks; leave out database", database.origin)
        }
        let connection: DatabricksConnection
        let credential: DatabricksCredential
        do {
            // Variables that are not needed may say what they like.
            let variables = try? DatabricksVariables(address, environment: settings.environment)
            switch settings.credentials.value {
            case .none: credential = try DatabricksCredential(try DatabricksVariables(address, environment: settings.environment))
            case .basic, .token:
                credential = DatabricksCredential(credentials(settings.credentials.value), source: "\(settings.credentials.origin)")
            }
            connection = try DatabricksConnection(
                host: settings.uri.value.description, credential, variables, environment: settings.environment,
                caFile: settings.caFile?.value, requestTimeout: MLflowEnvironment(settings.environment).requestTimeout ?? 120,
                rateShare: Double(settings.rateShare?.value ?? 40) / 100, readsUnityCatalog: settings.registry?.value == "databricks-uc")
        } catch let error as DatabricksVariables.Invalid {
            throw refuse("\(error)")
        } catch let error as MLflowEndpoint.InvalidURI {
            throw refuse("\(error)")
        } catch let error as AzureIdentity.Incomplete {
            throw refuse("\(error)")
        }
        var store = connection.store
        store.carriesUnknownFields = settings.carriesUnknownFields
        return OpenedStore(
            store: store, version: { nil },
            kind: { "Databricks workspace \(try await connection.workspaceID()), asked as \(credential)" },
            requestCount: { connection.requestCount }, close: { connection.close() }, figures: { connection.requests },
            credentialEndsAt: connection.credentialEndsAt)
    }

    private static func database(_ setting: Setting<String>) throws -> MLflowDatabase {
        do {
            return try MLflowDatabase(try DatabaseURI(setting.value))
        } catch let error as FeedError {
            throw ConfigurationError(setting.origin, "primary.database: \(error)")
        }
    }

    /// The data base whose triggers are followed; nil: the primary is polled.
    ///
    /// Where triggers are asked for they must be there: a feed that could not be followed is refused before anything is done.
    static func followedDatabase(_ settings: MirrorSettings) throws -> MLflowDatabase? {
        if let setting = settings.primary.database, settings.feed.value != .poll {
            let database = try database(setting)
            do {
                let triggers = TriggerSet(database.uri)
                guard try triggers.inspect().isComplete || settings.reinstallTriggers.value else {
                    throw FeedError(
                        "\(database.uri.path): the triggers are not complete. Run `\(database.uri.installCommand)`, or use feed: poll")
                }
            } catch let error as FeedError {
                throw ConfigurationError(settings.feed.value == .auto ? setting.origin : settings.feed.origin, "primary.feed: \(error)")
            }
            return database
        }
        if settings.feed.value == .triggers {
            throw ConfigurationError(
                settings.feed.origin, "primary.feed: triggers need a database: give --primary-database or primary.database")
        }
        return nil
    }

    static func openFeed(
        _ settings: MirrorSettings, _ primary: any TrackingStore, _ state: ReplicationState, _ clock: any ReplicationClock
    ) throws -> any ChangeFeed {
        if let database = try followedDatabase(settings) {
            return TriggerFeed(database, behind: primary, reinstalls: settings.reinstallTriggers.value)
        }
        var polling = PollingConfiguration()
        polling.cycle = Double(settings.cycleSeconds.value)
        polling.requestsPerSecond = Double(settings.requestsPerSecond.value)
        polling.runReadsPerSecond = polling.requestsPerSecond
        // Its allowance counts every request.
        let polled: any TrackingStore =
            switch primary {
            case let store as MLflowStore: store.askingOnce
            case let store as PassingStore<MLflowStore>: PassingStore(store.base.askingOnce, store.scope)
            default: primary
            }
        if let most = (polled as? MLflowStore ?? (polled as? PassingStore<MLflowStore>)?.base)?.searchesPerSecond {
            // A fifth is left to the copying: what the store itself makes wait would hold up the next look.
            polling.requestsPerSecond = min(polling.requestsPerSecond, most * 0.8)
        }
        return pollingFeed(polled, state, settings.mirrorConfiguration().scope, polling, clock)
    }

    private static func pollingFeed(
        _ store: some TrackingStore, _ state: ReplicationState, _ scope: Scope, _ polling: PollingConfiguration,
        _ clock: any ReplicationClock
    ) -> any ChangeFeed {
        PollingFeed(store, state: state, scope: scope, polling, clock: clock)
    }

    /// What MLflow's own client would use: from its variables, and from the text of its credentials file.
    static func trackingCredentials(_ environment: [String: String], credentialsFile: String?) -> Credentials {
        switch MLflowEnvironment(environment, credentialsFile: credentialsFile).credentials {
        case .none: .none
        case .basic(let username, let password): .basic(username: username, password: Secret(password))
        case .bearer(let token): .token(Secret(token))
        }
    }

    private static func credentials(_ credentials: Credentials) -> MLflowCredentials {
        switch credentials {
        case .none: .none
        case .basic(let username, let password): .basic(username: username, password: password.revealed)
        case .token(let token): .bearer(token: token.revealed)
        }
    }
}
