/// An error of the work on what a listing showed, and not of the listing.
struct WorkError: Error {
    let error: StoreError

    static func of<R>(_ work: () async throws -> R) async throws -> R {
        do { return try await work() } catch let error as StoreError { throw WorkError(error: error) }
    }
}

extension TrackingStore {
    /// Hands over experiments in groups, none larger than one search takes. Some of many may be closed to us, be too many at once, or be what the
    /// store stumbles over: a search over all of them then fails, and the group is split until only those fail that are to blame.
    ///
    /// - Parameters:
    ///   - answered: one that such a search was answered for a moment ago.
    ///   - body: what is done with a group; again with each half when it is refused. It repeats by itself what may be repeated.
    ///     What it does besides listing, it does within `WorkError.of`.
    ///   - closed: told of each that is refused alone, or fails alone while others are answered.
    func inGroups(
        _ experiments: [ExperimentID], atMost most: Int = .max, answered: ExperimentID? = nil,
        _ body: ([ExperimentID]) async throws -> Void, closed: (ExperimentID, StoreError) async throws -> Void
    ) async throws {
        var groups = Array(experiments.chunks(of: min(most, dialect.experimentsPerSearch)).reversed())
        var witness = Witness(id: answered)
        var failing: [(id: ExperimentID, error: StoreError)] = []
        var failures = 0
        while let group = groups.popLast() {
            do {
                try await body(group)
                witness = Witness(id: group.first, hasSpoken: true)
                failures = 0
            } catch let work as WorkError {
                throw work.error
            } catch let error as StoreError {
                let isFailing = try await failsAlone(error, group, &witness)
                if group.count > 1, isFailing || error.mayBeOfOneAmongMany || error.decision == .setAside {
                    groups += group.halves.reversed()
                } else if group.count == 1, error.isClosed {
                    try await closed(group[0], error)
                } else if group.count == 1, isFailing || error.decision == .setAside {
                    failing.append((group[0], error))
                    failures += 1
                    guard failures > mostFailures else { continue }
                    // So many in a row may be the searches themselves.
                    guard witness.hasSpoken, let id = witness.id else { throw error }
                    try await body([id])
                    failures = 0
                } else {
                    throw error
                }
            }
        }
        for one in failing {
            // Where none is answered, it is the searches that fail, and no experiment.
            guard witness.hasSpoken else { throw one.error }
            try await closed(one.id, one.error)
        }
    }

    /// One after the other, of experiments that are asked for alone.
    private var mostFailures: Int { 5 }

    private func failsAlone(_ error: StoreError, _ group: [ExperimentID], _ witness: inout Witness) async throws -> Bool {
        guard await failsAlone(error) else { return false }
        guard let id = witness.id, !group.contains(id) else { return true }
        do { _ = try await runs(RunQuery(experiments: [id], pageSize: 1), nil) } catch is StoreError { return false }
        witness.hasSpoken = true
        return true
    }

    /// What was tried again and again failed each time, and yet the store says who it is: it is not away.
    ///
    /// - Returns: false of an error that no trying again mends: it says itself what it is about.
    func failsAlone(_ error: StoreError) async -> Bool {
        guard error.isRetriable, error.reason != .throttled else { return false }
        return await (try? identity()) != nil
    }
}

/// An experiment that was answered for: where it is still, what fails for another is that one's own.
private struct Witness {
    var id: ExperimentID?
    /// Since the failures began.
    var hasSpoken = false
}
