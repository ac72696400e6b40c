public import Curl
import Foundation
import Replication

/// Gets tokens from Microsoft Entra ID, or from the metadata service of the machine.
struct AzureTokenSource: Sendable {
    var identity: AzureIdentity
    var cloud: AzureCloud
    /// For the token endpoint alone; without a proxy where `identity.isLocal`.
    var client: HTTPClient
    /// Whose variables said who asks.
    var variables = "AZURE_*"

    /// - Throws: `StoreError`, `CancellationError`.
    func fetch(_ clock: () -> Double) async throws -> AccessToken {
        try await TokenExchange(client: client, subject: "\(identity) from \(identity.isLocal ? "the metadata service" : cloud.authority)")
            .send(
                try TokenRequest(identity, cloud), clock, isLocal: identity.isLocal,
                advice: "check the variables \(variables) and the rights behind them")
    }
}

extension BearerTokens {
    /// Of Azure, for one workspace.
    ///
    /// - Parameters:
    ///   - client: for the token endpoint alone; without a proxy where `identity.isLocal`.
    ///   - clock: in seconds, never going back.
    ///   - onRenewal: told of each one that takes another's place.
    public init(
        _ identity: AzureIdentity, cloud: AzureCloud, client: HTTPClient,
        clock: @escaping @Sendable () -> Double = BearerTokens.continuousSeconds, onRenewal: @escaping @Sendable () -> Void = {}
    ) {
        let source = AzureTokenSource(identity: identity, cloud: cloud, client: client)
        self.init(clock: clock, onRenewal: onRenewal) { try await source.fetch($0) }
    }
}
