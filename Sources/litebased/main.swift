print("litebased")
