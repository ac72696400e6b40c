public import Replication

extension FakeStore {
    /// Everything in a store at one moment, past all calls: for judges that trust none of them.
    public struct Snapshot: Sendable {
        public struct RunContent: Sendable {
            public var run: Run
            /// As text, so that NaN is equal to itself; in any order.
            public var points: [String: Set<String>]
            /// Points that were sent again although they were there.
            public var doubled: Int
        }
        public var experiments: [Experiment]
        public var runs: [RunContent]
        public var loggedModels: [LoggedModel]
        public var deletedLoggedModels: [LoggedModelID]
        public var models: [RegisteredModel]
        public var versions: [ModelName: [ModelVersion]]
        public var files: [ArtifactOwner.ID: [String: [UInt8]]]
    }

    public var snapshot: Snapshot {
        state.withLock { state in
            Snapshot(
                experiments: state.experiments.values.sorted { $0.id < $1.id },
                runs: state.runs.values.sorted { $0.run.id < $1.run.id }.map { record in
                    Snapshot.RunContent(
                        run: record.run,
                        points: record.history.mapValues { points in
                            Set(points.map { "\($0.timestamp) \($0.step) \($0.isNaN ? "NaN" : String($0.value))" })
                        }, doubled: record.doubled)
                },
                loggedModels: state.loggedModels.values.filter { !state.deletedLoggedModels.contains($0.id) }.sorted { $0.id < $1.id },
                deletedLoggedModels: state.deletedLoggedModels.sorted(),
                models: state.registered.values.map(\.model).sorted { $0.name < $1.name },
                versions: state.registered.mapValues { $0.versions.values.sorted { $0.number < $1.number } },
                files: state.files)
        }
    }
}
