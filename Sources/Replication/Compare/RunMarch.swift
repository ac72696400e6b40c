/// The runs of some experiments by start time, grouped by equal start times: the order that both sides share, for the
/// secondary keeps start times and gives ids of its own.
struct RunGroups<Store: TrackingStore>: Sendable {
    private var pages: RunPages<Store>
    private var buffered: [Run] = []
    private var isAtEnd = false
    private(set) var undecodable: [Undecodable] = []

    init(_ pages: RunPages<Store>) { self.pages = pages }

    /// The next group; nil at the end. Holds one page and one group.
    mutating func next() async throws -> (startTime: Int64, runs: [Run])? {
        while !isAtEnd, buffered.isEmpty || buffered.last?.startTime == buffered.first?.startTime { try await readPage() }
        guard let first = buffered.first else { return nil }
        let count = buffered.firstIndex { $0.startTime != first.startTime } ?? buffered.count
        let group = Array(buffered[..<count])
        buffered.removeFirst(count)
        return (first.startTime, group)
    }

    private mutating func readPage() async throws {
        guard let page = try await pages.next() else {
            isAtEnd = true
            return
        }
        undecodable += page.undecodable
        buffered += page.elements
    }
}

/// What a march over both sides finds at one place.
enum MarchStep: Sendable {
    case matched(primary: Run, secondary: Run)
    case missing(primary: Run)
    /// Bears our stamp, but stands for nothing, or for what another one stands for already.
    case extra(secondary: Run, of: RunID, isDouble: Bool)
}

enum RunMarch {
    /// Matches the runs of one start time by the stamp that the secondary's bear.
    static func match(_ here: [Run], _ there: [Run], stamp: Stamp) -> [MarchStep] {
        var byPrimary: [RunID: [Run]] = [:]
        for run in there {
            if case .ours(let id) = stamp.owner(Stamp.idKey(.run), of: run.tags) { byPrimary[RunID(id), default: []].append(run) }
        }
        var steps: [MarchStep] = []
        for run in here.sorted(by: { $0.id < $1.id }) {
            let copies = byPrimary.removeValue(forKey: run.id) ?? []
            guard let first = copies.min(by: { $0.id < $1.id }) else {
                steps.append(.missing(primary: run))
                continue
            }
            steps.append(.matched(primary: run, secondary: first))
            for other in copies where other.id != first.id { steps.append(.extra(secondary: other, of: run.id, isDouble: true)) }
        }
        for (id, copies) in byPrimary.sorted(by: { $0.key < $1.key }) {
            for copy in copies { steps.append(.extra(secondary: copy, of: id, isDouble: false)) }
        }
        return steps
    }
}
