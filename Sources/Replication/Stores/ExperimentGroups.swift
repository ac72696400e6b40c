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
    ///   - wasAnswered: whether such a search was answered a moment ago.
    ///   - body: what is done with a group; again with each half when it is refused. It repeats by itself what may be repeated.
    ///     What it does besides listing, it does within `WorkError.of`.
    ///   - closed: told of each that is refused alone, or fails alone while others are answered.
    func inGroups(
        _ experiments: [ExperimentID], atMost most: Int = .max, wasAnswered: Bool = false, _ body: ([ExperimentID]) async throws -> Void,
        closed: (ExperimentID, StoreError) async throws -> Void
    ) async throws {
        var groups = Array(experiments.chunks(of: min(most, dialect.experimentsPerSearch)).reversed())
        var failing: [(id: ExperimentID, error: StoreError)] = []
        var wasAnswered = wasAnswered
        var failures = 0
        while let group = groups.popLast() {
            do {
                try await body(group)
                wasAnswered = true
                failures = 0
            } catch let work as WorkError {
                throw work.error
            } catch let error as StoreError {
                let isFailing = await failsAlone(error)
                if group.count > 1, isFailing || error.mayBeOfOneAmongMany || error.decision == .setAside {
                    groups += group.halves.reversed()
                } else if group.count == 1, error.isClosed {
                    try await closed(group[0], error)
                } else if group.count == 1, isFailing || error.decision == .setAside {
                    failing.append((group[0], error))
                    failures += 1
                    // Where none is answered any more, it is the searches that fail, and no experiment.
                    if failures > mostFailures { throw error }
                } else {
                    throw error
                }
            }
        }
        for one in failing {
            guard wasAnswered else { throw one.error }
            try await closed(one.id, one.error)
        }
    }

    /// One after the other, of experiments that are asked for alone.
    private var mostFailures: Int { 3 }

    /// What was tried again and again failed each time, and yet the store says who it is: it is not away.
    ///
    /// - Returns: false of an error that no trying again mends: it says itself what it is about.
    func failsAlone(_ error: StoreError) async -> Bool {
        guard error.isRetriable, error.reason != .throttled else { return false }
        return await (try? identity()) != nil
    }
}
