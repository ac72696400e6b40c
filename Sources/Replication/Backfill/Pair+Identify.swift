extension Pair {
    /// Asks both stores who they are.
    ///
    /// - Parameter waits: while they hold nothing that would tell them apart, the error is a `StoreError` to be retried.
    /// - Throws: `MirrorError` when both are one store, whatever they are called, or cannot be told apart.
    public static func identify(
        _ primary: some TrackingStore, _ secondary: some TrackingStore, name: String, waits: Bool = false
    ) async throws -> Pair {
        async let one = primary.identity()
        async let other = secondary.identity()
        let pair = Pair(name: name, primary: try await one, secondary: try await other)
        guard pair.primary == pair.secondary else { return pair }
        switch try await likeness(primary, secondary) {
        case .two: return pair
        case .one:
            throw MirrorError(
                .sameStore,
                "\(primary.name) and \(secondary.name) are one and the same store (identity \(pair.primary)). "
                    + "Primary and secondary must be two; check both URIs.")
        case .unknown:
            let message =
                "\(primary.name) and \(secondary.name) cannot be told apart: both hold nothing but one experiment, made in the same "
                + "millisecond. If they are one server, correct the URIs; if they are two, create an experiment in either."
            if waits { throw StoreError(.retry(after: nil), .invalid, message) }
            throw MirrorError(.sameStore, message)
        }
    }

    private enum Likeness {
        case one, two
        /// Both are as they were made.
        case unknown
    }

    /// An identity rests on a time of creation in milliseconds: two stores that were made at once may share it. One store has the same
    /// things on both sides; two share no more than the experiment that each was made with. Run ids are random: none is in two stores.
    private static func likeness(_ primary: some TrackingStore, _ secondary: some TrackingStore) async throws -> Likeness {
        var here = try await sample(primary)
        let there = try await sample(secondary)
        // Somebody may have made something between the two readings.
        let again = try await sample(primary)
        here.experiments.formUnion(again.experiments)
        here.runs.formUnion(again.runs)
        if !here.runs.isDisjoint(with: there.runs) || here.experiments.intersection(there.experiments).count > 1 { return .one }
        guard here.experiments == there.experiments else { return .two }
        return here.runs.isEmpty && there.runs.isEmpty ? .unknown : .two
    }

    private struct Sample {
        var experiments: Set<String> = []
        var runs: Set<RunID> = []
    }

    /// A page of the experiments, and of their runs.
    private static func sample(_ store: some TrackingStore) async throws -> Sample {
        let experiments = try await store.experiments(nil).elements
        var sample = Sample(experiments: Set(experiments.map { "\($0.id) \($0.creationTime ?? 0)" }))
        if !experiments.isEmpty {
            let query = RunQuery(experiments: experiments.prefix(10).map(\.id), pageSize: 100)
            sample.runs = Set(try await store.runs(query, nil).elements.map(\.id))
        }
        return sample
    }
}
