import Replication

/// Calls that one server has answered in this process, by their paths: what it then says it does not have is not missing, but away.
final class AnsweredCalls: Sendable {
    private let routes = Locked<Set<String>>([])
    /// Paths that name a thing are as many as there are things.
    private static let most = 200

    func note(_ call: MLflowCall) {
        guard call.requestClass != .files else { return }
        routes.withLock { routes in
            if routes.count < Self.most { routes.insert(call.route) }
        }
    }

    func holds(_ call: MLflowCall) -> Bool { routes.withLock { $0.contains(call.route) } }
}
