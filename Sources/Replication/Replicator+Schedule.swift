extension Replicator {
    /// What is in flight, what waits for what, and what comes next.
    struct Schedule {
        var metadata: Lane
        var artifacts: Lane
        var deletions: Lane
        var busy: Set<EntityKey> = []
        /// Entries that wait for another key to be finished.
        var parked: [EntityKey: [ChangeLogEntry]] = [:]
        var attempts: [EntityKey: Int] = [:]
        var refusals: [EntityKey: Int] = [:]
        /// Entries that have waited in a circle: they go on without.
        var impatient: Set<EntityKey> = []
        /// Entries that rest between two attempts.
        var resting: Set<EntityKey> = []
        /// Of the paused scope that the log's marks are by; nil: by an earlier process's.
        var pausedVersion: Int?

        init(_ configuration: MirrorConfiguration) {
            metadata = Lane(kinds: [.experiment, .run, .loggedModel, .registeredModel], window: configuration.window)
            artifacts = Lane(kinds: [.runArtifacts, .loggedModelArtifacts], window: configuration.artifactWindow)
            deletions = Lane(kinds: [.experimentDeletion], window: 1)
        }

        var isIdle: Bool { busy.isEmpty && resting.isEmpty && metadata.isIdle && artifacts.isIdle && parked.isEmpty }

        mutating func withLane(of key: EntityKey, _ body: (inout Lane) -> Void) {
            switch key.kind {
            case .experiment, .run, .loggedModel, .registeredModel: body(&metadata)
            case .runArtifacts, .loggedModelArtifacts: body(&artifacts)
            case .experimentDeletion: body(&deletions)
            }
        }

        /// Whether what is waited for waits, by itself or through others, for the one that waits.
        func isCircle(_ waiter: EntityKey, waitingFor key: EntityKey) -> Bool {
            var at = key
            for _ in 0...parked.count {
                if at == waiter { return true }
                guard let next = parked.first(where: { $0.value.contains { $0.key == at } })?.key else { return false }
                at = next
            }
            return false
        }

        /// What was held may lie anywhere in the log.
        mutating func rewind() {
            let known = busy.union(resting).union(parked.values.joined().map(\.key))
            metadata.rewind(without: known)
            artifacts.rewind(without: known)
            deletions.rewind(without: known)
        }

        mutating func logHasGrown() {
            metadata.logHasGrown()
            artifacts.logHasGrown()
            deletions.logHasGrown()
        }

        mutating func next(_ state: ReplicationState, _ outlook: Outlook, pause: Pause) throws -> ChangeLogEntry? {
            let busy = busy
            guard pause != .everything else { return nil }
            if metadata.hasRoom, let entry = try metadata.next(from: state, isBusy: { busy.contains($0) }) { return entry }
            if pause != .artifacts, artifacts.hasRoom, let entry = try artifacts.next(from: state, isBusy: { busy.contains($0) }) {
                return entry
            }
            guard outlook != .listing, deletions.hasRoom, try isIdle || outlook == .following && isDeletionNext(state) else { return nil }
            return try deletions.next(from: state, isBusy: { busy.contains($0) })
        }

        /// Everything that came before the first deletion is done.
        private func isDeletionNext(_ state: ReplicationState) throws -> Bool {
            guard let deletion = try state.entries(after: .zero, kinds: [.experimentDeletion], limit: 1).first else { return false }
            return try state.lowest(except: .experimentDeletion).map { $0 > deletion.lsn } ?? true
        }
    }
}
