def left(count, sold):
    return count - sold
