/// What one run may hold on a store that is narrower than MLflow's own server. Lengths are in UTF-16 units: of the ways to count, the one
/// that never gives less.
public struct RunLimits: Sendable, Hashable {
    public var tags: Int
    public var tagKeyLength: Int
    public var tagValueLength: Int
    public var params: Int
    public var paramKeyLength: Int
    public var paramValueLength: Int
    public var metricNames: Int
    public var metricNameLength: Int
    public var datasets: Int
    public var nameLength: Int

    public init(
        tags: Int, tagKeyLength: Int, tagValueLength: Int, params: Int, paramKeyLength: Int, paramValueLength: Int, metricNames: Int,
        metricNameLength: Int, datasets: Int, nameLength: Int
    ) {
        self.tags = tags
        self.tagKeyLength = tagKeyLength
        self.tagValueLength = tagValueLength
        self.params = params
        self.paramKeyLength = paramKeyLength
        self.paramValueLength = paramValueLength
        self.metricNames = metricNames
        self.metricNameLength = metricNameLength
        self.datasets = datasets
        self.nameLength = nameLength
    }

    func fits(_ tag: Tag) -> Bool { tag.key.utf16.count <= tagKeyLength && tag.value.utf16.count <= tagValueLength }
    func fits(_ param: Param) -> Bool { param.key.utf16.count <= paramKeyLength && param.value.utf16.count <= paramValueLength }
    func fits(metric name: String) -> Bool { name.utf16.count <= metricNameLength }
}
