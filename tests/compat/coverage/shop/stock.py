import threading


class Stock:
    def __init__(self):
        self.count = 0

    def add(self, count):
        for _ in range(count):
            self.count += 1

    def add_in_thread(self, count):
        thread = threading.Thread(target=self.add_one_by_one, args=(count,))
        thread.start()
        thread.join()

    def add_one_by_one(self, count):
        while count > 0:
            self.count += 1
            count -= 1
