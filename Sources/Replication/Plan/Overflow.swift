/// What of a run does not fit on a narrower secondary. It goes into a document among the run's files there, as it is on the primary, and a tag
/// says so.
///
/// What is on the secondary already stays where it is, because params and metric names can never be taken back; of the rest, what comes first
/// by name fits.
public struct Overflow: Sendable, Hashable {
    /// Of the document, among the run's files.
    public static let path = folder + "overflow.json"
    /// Where everything is that the mirror puts among a run's files, models aside.
    public static let folder = "mlmirror/"
    /// Of a run's own files that lie where a logged model has its folder.
    static let displacedFolder = folder + "files/"

    /// Where a run's file goes.
    ///
    /// - Parameter folders: the run's folders that hold logged models.
    static func place(of path: String, besides folders: Set<String>) -> String {
        folders.contains { path == $0 || path.hasPrefix($0 + "/") } ? displacedFolder + path : path
    }

    /// Its tag: what is in the document, for people.
    public static let markerKey = "mlmirror.overflow"

    public var tags: [Tag] = []
    public var params: [Param] = []
    /// Names: their whole histories.
    public var metrics: [String] = []
    public var datasets: [DatasetInput] = []
    /// By the primary's ids, where the secondary has no logged models.
    public var modelInputs: [LoggedModelID] = []
    public var modelOutputs: [ModelOutput] = []
    /// Keys of tags that are in the document, and stand on the secondary with an earlier value.
    var stale: [String] = []

    public init() {}

    public var isEmpty: Bool {
        tags.isEmpty && params.isEmpty && metrics.isEmpty && datasets.isEmpty && modelInputs.isEmpty && modelOutputs.isEmpty
    }

    /// How many of what.
    var counts: [(label: String, count: Int)] {
        [
            ("tags", tags.count), ("params", params.count), ("metrics", metrics.count), ("datasets", datasets.count),
            ("models", modelInputs.count + modelOutputs.count),
        ].filter { $0.1 > 0 }
    }

    /// `250 tags, 1400 params`.
    public var summary: String { counts.map { "\($0.count) \($0.label)" }.joined(separator: ", ") }

    /// Takes out of an image what does not fit, and puts the marker in.
    ///
    /// - Parameters:
    ///   - metrics: the names of the primary's run.
    ///   - there: the secondary's run now.
    ///   - base: as last written; nil when unknown.
    public init(takenFrom image: inout RunImage, metrics: [String], there: Run, base: Base?, _ dialect: Dialect) {
        guard let limits = dialect.runLimits else { return }
        takeModels(of: &image, dialect)
        takeName(of: &image, limits)
        takeTags(of: &image, there: there, base, limits)

        let paramsThere = Set(there.params.map(\.key))
        (image.params, params) = Self.split(
            image.params, room: limits.params - paramsThere.subtracting(image.params.map(\.key)).count, name: \.key, fits: limits.fits,
            isFirst: { paramsThere.contains($0.key) })

        let metricsThere = Set(there.latestMetrics.map(\.key))
        self.metrics =
            Self.split(
                metrics, room: limits.metricNames - metricsThere.subtracting(metrics).count, name: \.self, fits: limits.fits(metric:),
                isFirst: { metricsThere.contains($0) || base?.series[FieldDigest($0)] != nil }
            ).rest

        let datasetsThere = Set(there.datasets.map(\.identity))
        (image.datasets, datasets) = Self.split(
            image.datasets, room: limits.datasets, name: \.identity, fits: { _ in true }, isFirst: { datasetsThere.contains($0.identity) })
        if !isEmpty { image.tags.append(Tag(Self.markerKey, summary)) }
    }

    /// Takes out of an image what the secondary's run does not show: all this is to be in its document. The marker is put in.
    public init(missingFrom there: Run, of image: inout RunImage, metrics: [String], _ dialect: Dialect) {
        guard let limits = dialect.runLimits else { return }
        takeModels(of: &image, dialect)
        takeName(of: &image, limits)
        func take<Element>(_ all: inout [Element], _ name: (Element) -> String, _ names: Set<String>) -> [Element] {
            let missing = all.filter { !names.contains(name($0)) }
            all.removeAll { !names.contains(name($0)) }
            return missing.sorted { name($0) < name($1) }
        }
        tags += take(&image.tags, \.key, Set(there.tags.map(\.key)))
        tags.sort { $0.key < $1.key }
        params = take(&image.params, \.key, Set(there.params.map(\.key)))
        let metricsThere = Set(there.latestMetrics.map(\.key))
        self.metrics = metrics.filter { !metricsThere.contains($0) }.sorted()
        datasets = take(&image.datasets, \.identity, Set(there.datasets.map(\.identity)))
        if !isEmpty { image.tags.append(Tag(Self.markerKey, summary)) }
    }

    /// The tags that a new run can be made with.
    static func fitting(_ tags: [Tag], _ limits: RunLimits?) -> [Tag] {
        guard let limits else { return tags }
        return split(tags, room: limits.tags - 1, name: \.key, fits: limits.fits, rank: rank).fitting
    }

    static func fitting(name: String, _ limits: RunLimits?) -> String {
        guard let limits, name.utf16.count > limits.nameLength else { return name }
        var cut = name.prefix(limits.nameLength - 1)
        while cut.utf16.count > limits.nameLength - 1 { cut.removeLast() }
        return cut + "…"
    }

    /// Their ids stand for nothing there.
    private mutating func takeModels(of image: inout RunImage, _ dialect: Dialect) {
        guard !dialect.hasLoggedModels else { return }
        modelInputs = image.modelInputs.sorted()
        modelOutputs = image.modelOutputs.sorted { ($0.model, $0.step) < ($1.model, $1.step) }
        (image.modelInputs, image.modelOutputs, image.missingModels) = ([], [], [])
    }

    private static let nameKey = "mlflow.runName"

    /// The tag follows the name: they are one.
    private mutating func takeName(of image: inout RunImage, _ limits: RunLimits) {
        let fitting = Self.fitting(name: image.name, limits)
        guard fitting != image.name else { return }
        tags.append(Tag(Self.nameKey, image.name))
        image.name = fitting
        if let at = image.tags.firstIndex(where: { $0.key == Self.nameKey }) { image.tags[at].value = fitting }
    }

    private mutating func takeTags(of image: inout RunImage, there: Run, _ base: Base?, _ limits: RunLimits) {
        let own = Set(image.tags.map(\.key))
        // What is not ours, or was edited there, stays.
        let foreign = there.tags.count {
            $0.key != Self.markerKey && !own.contains($0.key) && base?[.tag($0.key)] != FieldDigest($0.value)
        }
        let present = Set(there.tags.map(\.key))
        let (fitting, rest) = Self.split(
            image.tags, room: limits.tags - 1 - foreign, name: \.key, fits: limits.fits,
            rank: { present.contains($0.key) ? min(2, Self.rank($0)) : Self.rank($0) })
        image.tags = fitting
        tags += rest
        tags.sort { $0.key < $1.key }
        stale = rest.map(\.key).filter { present.contains($0) }
    }

    /// What a run is found and shown by comes first, what only repeats the primary's own words last.
    private static func rank(_ tag: Tag) -> Int {
        if tag.key.hasPrefix(Stamp.originalPrefix) { return 4 }
        if tag.key.hasPrefix(Stamp.prefix) { return 0 }
        return tag.key == nameKey || tag.key == References.parentKey ? 1 : 3
    }

    private static func split<Element>(
        _ all: [Element], room: Int, name: (Element) -> String, fits: (Element) -> Bool, isFirst: (Element) -> Bool
    ) -> (fitting: [Element], rest: [Element]) {
        split(all, room: room, name: name, fits: fits, rank: { isFirst($0) ? 0 : 1 })
    }

    /// Both sorted by name.
    private static func split<Element>(
        _ all: [Element], room: Int, name: (Element) -> String, fits: (Element) -> Bool, rank: (Element) -> Int
    ) -> (fitting: [Element], rest: [Element]) {
        var rest = all.filter { !fits($0) }
        let candidates = all.filter(fits).sorted { (rank($0), name($0)) < (rank($1), name($1)) }
        let room = max(0, room)
        rest += candidates.dropFirst(room)
        func byName(_ elements: some Sequence<Element>) -> [Element] { elements.sorted { name($0) < name($1) } }
        return (byName(candidates.prefix(room)), byName(rest))
    }
}

extension DatasetInput {
    /// MLflow tells a run's datasets apart by name and digest.
    var identity: String { "\(name)\u{0}\(digest)" }
}
