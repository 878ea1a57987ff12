"""A cassette made of cassettes: merged, split or scrubbed, by gathering lines, arranging and writing them."""
