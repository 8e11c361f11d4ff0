"""Model folders: their content, their versions, and the empty model of a camera that has not learned yet."""
